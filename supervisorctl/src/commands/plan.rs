//! `plan`: what a request would do, wave by wave.

use supervisor_api::{Client, OperationRequest, Plan, PlanStep, Verb};

use crate::args::{Count, Format, PlanVerb};
use crate::duration::for_people;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::ui::{Style, Ui, one_line, table};

pub(super) async fn run(
    client: &Client,
    ui: &mut Ui,
    verb: PlanVerb,
    names: Vec<String>,
    mode: Option<String>,
    rolling: bool,
) -> Result<Exit, CtlError> {
    let (verb, requests) = match verb {
        PlanVerb::Start => (Verb::Start, vec![(names, None)]),
        PlanVerb::Stop => (Verb::Stop, vec![(names, None)]),
        PlanVerb::Restart => (Verb::Restart, vec![(names, None)]),
        PlanVerb::Scale => (Verb::Scale, counts(&names)?),
        PlanVerb::Shutdown if names.is_empty() => (Verb::Stop, vec![(vec!["all".into()], None)]),
        PlanVerb::Shutdown => {
            return Err(CtlError::new(Exit::Usage, "a shutdown is one of everything")
                .with_hint("supervisorctl plan shutdown"));
        }
    };
    for (targets, instances) in requests {
        let request = request(verb, targets, mode.clone(), rolling, instances);
        let plan = client.plan(&request).await?;
        print(ui, &plan)?;
    }
    Ok(Exit::Ok)
}

/// What is named, and how many instances it is to have.
type Target = (Vec<String>, Option<u32>);

/// `NAME=N` words, each a request of its own.
fn counts(words: &[String]) -> Result<Vec<Target>, CtlError> {
    let parse = |word: &String| {
        let count: Count = word
            .parse()
            .map_err(|error| CtlError::new(Exit::Usage, format!("\"{word}\": {error}")))?;
        Ok((vec![count.name], Some(count.instances)))
    };
    words.iter().map(parse).collect()
}

fn request(
    verb: Verb,
    targets: Vec<String>,
    mode: Option<String>,
    rolling: bool,
    instances: Option<u32>,
) -> OperationRequest {
    OperationRequest {
        verb,
        targets,
        timeout: None,
        mode,
        signal: None,
        dry_run: true,
        wait: false,
        no_dependents: false,
        rolling,
        instances,
    }
}

fn print(ui: &mut Ui, plan: &Plan) -> Result<(), CtlError> {
    let mut steps = plan.waves.iter().flat_map(|wave| &wave.steps);
    match ui.format() {
        Format::Json | Format::Ndjson => ui.json(plan),
        Format::Name => steps.try_for_each(|step| ui.line(&step.service)),
        Format::Text | Format::Wide => {
            if plan.waves.is_empty() {
                return ui.line("nothing to do");
            }
            let rows: Vec<_> = plan
                .waves
                .iter()
                .enumerate()
                .flat_map(|(at, wave)| wave.steps.iter().map(move |step| row(at + 1, step)))
                .collect();
            table::print(ui, &["WAVE", "ACTION", "NAME", "AT MOST", "WHY"], &rows)?;
            ui.line(&format!("at most {}", limit(plan.worst_ms)))?;
            if let Some(chain) = &plan.longest_stop {
                ui.line(&one_line(chain))?;
            }
            plan.warnings
                .iter()
                .try_for_each(|text| ui.line(&format!("warning: {}", one_line(text))))
        }
    }
}

fn row(wave: usize, step: &PlanStep) -> Vec<table::Cell> {
    let cells = [
        wave.to_string(),
        step.action.clone(),
        step.service.clone(),
        limit(step.worst_ms),
        one_line(&step.why),
    ];
    cells.map(|text| (text, Style::Plain)).into()
}

fn limit(milliseconds: Option<u64>) -> String {
    milliseconds.map_or_else(|| "no limit".into(), for_people)
}
