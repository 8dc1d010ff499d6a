//! What is wrong with a spec, and how people are told.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use annotate_snippets::{Annotation, AnnotationKind, Level, Renderer, Snippet};

use super::source::{Location, Place, Sources};

/// Everything that is wrong with a spec, in the order of the files. Never empty.
///
/// Its `Display` is what `supervisord` shows: each fault with its place, the line and a hint.
#[derive(Debug, thiserror::Error)]
#[error("{}", render(.faults, &Renderer::plain()))]
pub struct LoadError {
    faults: Vec<Fault>,
}

/// One thing that is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, in lower case without full stop.
    pub message: String,
    /// Where; `None` if no file has to do with it.
    pub location: Option<Location>,
    /// What is there, if that is not clear from the message.
    pub label: Option<String>,
    /// What may help.
    pub hint: Option<String>,
    /// Other places that have to do with it, and what is there.
    pub related: Vec<(Location, String)>,
}

impl LoadError {
    /// The faults, in the order of the files.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The same text as `Display` gives, with colours for a terminal.
    pub fn colored(&self) -> String {
        render(&self.faults, &Renderer::styled())
    }
}

/// A fault while its files are still at hand.
#[derive(Debug)]
pub(super) struct Draft {
    message: String,
    place: Option<Place>,
    label: Option<String>,
    hint: Option<String>,
    related: Vec<(Place, String)>,
}

impl Draft {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place: Some(place), ..Self::placeless(message) }
    }

    /// A fault that no file has to do with.
    pub(super) fn placeless(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, label: None, hint: None, related: Vec::new() }
    }

    pub(super) fn label(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(super) fn maybe_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    pub(super) fn related(mut self, place: Place, what: impl Into<String>) -> Self {
        self.related.push((place, what.into()));
        self
    }
}

/// Collects the faults of a whole load, so that all are told at once.
#[derive(Debug, Default)]
pub(super) struct Faults {
    drafts: RefCell<Vec<Draft>>,
}

impl Faults {
    pub(super) fn add(&self, fault: Draft) {
        self.drafts.borrow_mut().push(fault);
    }

    /// `value`, if nothing is wrong. The same fault at the same place, as a default gives to each
    /// service, is told once.
    pub(super) fn finish<T>(self, sources: &Sources, value: Option<T>) -> Result<T, LoadError> {
        let mut drafts = self.drafts.into_inner();
        if let (Some(value), true) = (value, drafts.is_empty()) {
            return Ok(value);
        }
        drafts.sort_by_key(|draft| draft.place);
        let mut told = BTreeSet::new();
        drafts.retain(|draft| told.insert((draft.place, draft.message.clone())));
        let faults = drafts.into_iter().map(|draft| Fault {
            location: draft.place.and_then(|place| sources.locate(place)),
            message: draft.message,
            label: draft.label,
            hint: draft.hint,
            related: draft
                .related
                .into_iter()
                .filter_map(|(place, what)| Some((sources.locate(place)?, what)))
                .collect(),
        });
        Err(LoadError { faults: faults.collect() })
    }
}

fn render(faults: &[Fault], renderer: &Renderer) -> String {
    let texts: Vec<String> = faults.iter().map(|fault| render_one(fault, renderer)).collect();
    texts.join("\n\n")
}

fn render_one(fault: &Fault, renderer: &Renderer) -> String {
    let snippets = fault.location.iter().map(|at| {
        let label = fault.label.as_deref();
        snippet(at, AnnotationKind::Primary.span(at.mark.clone()).label(label))
    });
    let mut group = Level::ERROR.primary_title(fault.message.as_str()).elements(snippets);
    for (at, what) in &fault.related {
        let mark = AnnotationKind::Context.span(at.mark.clone()).label(what.as_str());
        group = group.element(snippet(at, mark));
    }
    if let Some(hint) = &fault.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    renderer.render(&[group])
}

fn snippet<'a>(at: &'a Location, mark: Annotation<'a>) -> Snippet<'a, Annotation<'a>> {
    Snippet::source(at.text.as_str())
        .line_start(at.line)
        .path(at.file.to_string_lossy())
        .annotation(mark)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render_one(self, &Renderer::plain()))
    }
}
