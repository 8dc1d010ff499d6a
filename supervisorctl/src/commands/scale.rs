//! `scale`: other numbers of instances.

use supervisor_api::{Client, Verb};

use super::operate::{self, Request};
use crate::args::{Count, OperationArgs};
use crate::duration::Limit;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Scales one service after the other, each with an operation of its own.
pub(super) async fn run(
    client: &Client,
    ui: &mut Ui,
    counts: Vec<Count>,
    no_wait: bool,
    timeout: Option<Limit>,
) -> Result<Exit, CtlError> {
    let mut exit = Exit::Ok;
    for Count { name, instances } in counts {
        let operation = OperationArgs { names: vec![name], no_wait, timeout };
        let request = Request::new(Verb::Scale, operation).with_instances(instances);
        exit = exit.then(operate::run(client, ui, request).await?);
    }
    Ok(exit)
}
