//! An engine under observation: every input is followed by all checks.

use std::collections::BTreeSet;

use supervisor_engine::{
    Action, Aim, Engine, Invocation, Moment, OperationId, Outcome, Report, Request, ServiceId,
    ServiceSpec, Status, Transition,
};

use crate::ledger::Ledger;

/// An engine with the books that are kept about it.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) engine: Engine,
    pub(crate) ledger: Ledger,
    pub(crate) now: Moment,
    /// Operations that have not ended.
    pub(crate) pending: Vec<OperationId>,
}

/// What an input led to.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) actions: Vec<Action>,
    pub(crate) changes: Vec<Transition>,
}

impl Observed {
    pub(crate) fn new(specs: Vec<ServiceSpec>, seed: u64, now: Moment) -> Self {
        let engine = Engine::new(specs, seed).expect("the order has no cycle");
        let ledger = Ledger::new(&engine);
        Self { engine, ledger, now, pending: Vec::new() }
    }

    /// Changes specs; what comes of it is up to the next request.
    pub(crate) fn revise(&mut self, specs: Vec<(ServiceId, ServiceSpec)>) -> Result<(), String> {
        for (id, _) in &specs {
            self.ledger.reopen(*id, &self.engine);
        }
        self.engine
            .revise(specs)
            .map_err(|cycles| format!("the order has no cycle: {cycles:?}"))?;
        self.ledger.open_accounts(&self.engine);
        Ok(())
    }

    pub(crate) fn request(&mut self, request: Request) -> Result<Effects, String> {
        self.ledger.requested(&request, &self.engine, self.now);
        let operation = self.engine.request(request, self.now);
        self.pending.push(operation);
        self.settle()
    }

    /// News of the live invocation of a service.
    pub(crate) fn report(&mut self, id: ServiceId, report: Report) -> Result<Effects, String> {
        let Some(execution) = self.ledger.execution(id) else {
            return Err("only what lives has news".to_owned());
        };
        let invocation = execution.invocation;
        self.ledger.reported(id, self.engine.service(id).spec(), &report, self.now);
        self.engine.report(invocation, report, self.now);
        self.settle()
    }

    /// News of an invocation that is over: nothing may come of it.
    pub(crate) fn late_report(&mut self, old: Invocation, report: Report) -> Result<(), String> {
        self.engine.report(old, report, self.now);
        let effects = self.settle()?;
        if effects.actions.is_empty() && effects.changes.is_empty() {
            Ok(())
        } else {
            Err(format!("late reports are dropped: {effects:?}"))
        }
    }

    /// Time goes on until this moment.
    pub(crate) fn time(&mut self, now: Moment) -> Result<Effects, String> {
        self.now = now;
        self.settle()
    }

    /// Takes what the input led to, with all that is due right now, and checks it.
    fn settle(&mut self) -> Result<Effects, String> {
        let mut effects = Effects::default();
        self.take(&mut effects)?;
        self.ledger.time_is(self.now);
        self.engine.handle_timeout(self.now);
        self.take(&mut effects)?;
        self.ledger.check(&self.engine, self.now)?;
        self.check_tries()?;
        Ok(effects)
    }

    /// Who asked for a start has the answer when the first try has failed.
    fn check_tries(&self) -> Result<(), String> {
        let open = self.pending.iter().filter_map(|id| self.engine.operation(*id));
        for item in open.flat_map(|operation| &operation.items) {
            let failed = self.engine.service(item.service).state().status() == Status::Backoff;
            let starts = matches!(item.aim, Aim::Up | Aim::Cycle { .. });
            if failed && starts && item.outcome.is_none() {
                return Err(format!("a start ends with its first try: {:?}", item.service));
            }
        }
        Ok(())
    }

    fn take(&mut self, effects: &mut Effects) -> Result<(), String> {
        while let Some(action) = self.engine.poll_action() {
            let id = self.engine.live(action.invocation).unwrap_or(action.service);
            self.ledger.act(action, self.engine.service(id))?;
            effects.actions.push(action);
        }
        while let Some(change) = self.engine.poll_transition() {
            self.ledger.change(&change, &self.engine)?;
            effects.changes.push(change);
        }
        while let Some(ended) = self.engine.poll_ended() {
            let place = self.pending.iter().position(|operation| *operation == ended);
            let Some(place) = place else {
                return Err("each operation ends once".to_owned());
            };
            self.pending.swap_remove(place);
            let operation = self.engine.operation(ended).ok_or("what has ended is known")?;
            if operation.items.iter().any(|item| item.outcome.is_none()) {
                return Err("an operation ends with its last item".to_owned());
            }
            // Unless it ended long before the last item, or the next restart is on its way.
            if let [item] = operation.items.as_slice()
                && item.outcome == Some(Outcome::Restarted)
                && self.pending.is_empty()
                && self.ledger.lives(item.service) > 1
            {
                return Err("after a restart there is one process".to_owned());
            }
            let services: BTreeSet<_> = operation.items.iter().map(|item| item.service).collect();
            if services.len() < operation.items.len() {
                return Err("an operation has one item for each service".to_owned());
            }
        }
        Ok(())
    }
}
