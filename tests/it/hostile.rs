//! Services that restart without end hurt nobody but themselves.

use supervisor_api::State;

use crate::harness::{Daemon, wait_until};

#[test]
fn a_service_that_restarts_as_fast_as_it_can_leaves_the_daemon_responsive() {
    let mut daemon = Daemon::start(
        r#"
        [service.storm]
        restart = "always"
        restart-delay = "0s"
        restart-max-delay = "0s"
        start-limit-burst = 0
        command = ["true"]
        [service.other]
        type = "notify"
        command = "${FIXTURE} ${SERVICE} --ready""#,
    );
    daemon.wait_state("other", State::Running);
    daemon.wait_service("storm", "restarted often", |storm| storm.restarts > 100);
    assert!(daemon.operate("restart", &["other"]).ok);
    assert!(daemon.operate("stop", &["storm"]).ok);
    assert_eq!(daemon.state("storm"), State::Stopped);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn clients_get_their_turn_while_fifty_services_restart_as_fast_as_they_can() {
    let mut daemon = Daemon::start(
        r#"
        [service.storm]
        instances = 50
        restart = "always"
        restart-delay = "0s"
        restart-max-delay = "0s"
        start-limit-burst = 0
        command = ["true"]"#,
    );
    let restarts =
        || -> u64 { daemon.services().services.iter().map(|service| service.restarts).sum() };
    wait_until("the storm", &mut (), |()| (restarts() > 500).then_some(()));
    // Counted in starts, not in time, and the best of some: the machine may be busy.
    let per_answer = (0..10)
        .map(|_| {
            let before = restarts();
            restarts() - before
        })
        .min();
    assert!(per_answer.unwrap() < 100, "{per_answer:?} starts between two answers");
    assert_eq!(daemon.terminate(), 0);
}
