//! Follows an operation to its end. Whatever ends the waiting, the operation goes on.

use std::time::Duration;

use supervisor_api::{Client, ClientError, Event, Lines, Operation, OperationRequest};
use tokio::time::Instant;

use crate::interrupt::Interrupt;
use crate::ui::Ui;
use crate::ui::progress::Progress;

/// The longest single call; an operation may take longer.
const CALL: Duration = Duration::from_secs(30);
/// What is over sooner shows no progress: it would only flicker.
const QUIET: Duration = Duration::from_millis(300);
/// How often elapsed times move on the screen.
const TICK: Duration = Duration::from_secs(1);
/// How much longer than asked the daemon may take to say that the time is over.
const GRACE: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum WaitError {
    /// The call failed.
    Client(ClientError),
    /// Ctrl-C.
    Interrupted,
    /// The time is over and the daemon does not even say so.
    TimedOut,
}

impl From<ClientError> for WaitError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// Begins the operation and answers it when it has ended, or as it is when `timeout` is over.
/// `request.timeout` is set from `timeout`.
pub(crate) async fn follow(
    client: &Client,
    ui: &mut Ui,
    mut request: OperationRequest,
    timeout: Option<Duration>,
) -> Result<Operation, WaitError> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    request.timeout = timeout.map(|timeout| format!("{}ms", timeout.as_millis()));
    let mut interrupt = Interrupt::new().map_err(ClientError::Io)?;
    let is_live = ui.is_live();
    let result = tokio::select! {
        result = async {
            if is_live {
                with_progress(client, ui, request, deadline).await
            } else {
                silently(client, request, deadline).await
            }
        } => result.map_err(WaitError::Client),
        () = interrupt.wait() => Err(WaitError::Interrupted),
        () = at(deadline.map(|deadline| deadline + GRACE)) => Err(WaitError::TimedOut),
    };
    if is_live {
        ui.hide_progress();
    }
    result
}

async fn silently(
    client: &Client,
    request: OperationRequest,
    deadline: Option<Instant>,
) -> Result<Operation, ClientError> {
    let mut operation = client.operate(&OperationRequest { wait: true, ..request }).await?;
    while !operation.done && !is_over(deadline) {
        operation = client.operation(operation.id, Some(next_call(deadline))).await?;
    }
    Ok(operation)
}

async fn with_progress(
    client: &Client,
    ui: &mut Ui,
    request: OperationRequest,
    deadline: Option<Instant>,
) -> Result<Operation, ClientError> {
    let begun = Instant::now();
    // Before the operation begins, so that nothing is missed. Without events there are still
    // the operation's own messages.
    let mut events = client.events(None).await.ok();
    let mut operation = client.operate(&OperationRequest { wait: false, ..request }).await?;
    let mut progress = Progress::default();
    progress.update(&operation);
    let mut ticks = tokio::time::interval_at(begun + QUIET, TICK);
    while !operation.done && !is_over(deadline) {
        let call = client.operation(operation.id, Some(next_call(deadline)));
        tokio::pin!(call);
        operation = loop {
            tokio::select! {
                result = &mut call => break result?,
                event = next_event(&mut events) => progress.event(&event),
                _ = ticks.tick() => {}
            }
            if begun.elapsed() >= QUIET {
                ui.show_progress(&progress, begun.elapsed());
            }
        };
        progress.update(&operation);
    }
    Ok(operation)
}

/// The next event; never, once the stream has ended.
async fn next_event(events: &mut Option<Lines<Event>>) -> Event {
    if let Some(lines) = events {
        if let Ok(Some(event)) = lines.next().await {
            return event;
        }
        *events = None;
    }
    std::future::pending().await
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

fn next_call(deadline: Option<Instant>) -> Duration {
    deadline.map_or(CALL, |deadline| CALL.min(deadline - Instant::now()))
}
