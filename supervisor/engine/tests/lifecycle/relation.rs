//! `conflicts`, `upholds`, `on-failure`, `on-success`, `until = "started"`: who stops, keeps up or
//! starts whom.

use supervisor_engine::{
    Cause, Exit, FailReason, Outcome, PlanKind, Report, RestartMode, RestartPolicy, Signal, State,
    Status, StopCause, Why,
};

use crate::case::{Case, Spec, forking, millis, notify, oneshot, secs, simple};

/// Never restarted by its own policy.
fn never(name: &str) -> Spec {
    simple(name).with(|spec| spec.restart.policy = RestartPolicy::No)
}

fn at_most(spec: Spec, burst: u32) -> Spec {
    spec.with(|spec| {
        spec.restart.limit_burst = burst;
        spec.restart.limit_interval = secs(60);
    })
}

#[test]
fn a_start_stops_what_it_conflicts_with_first_whoever_says_so() {
    for (started, stopped) in [("new", "old"), ("old", "new")] {
        let specs =
            || [simple("new").conflicts("old"), simple("old"), simple("ui").requires("old")];
        let mut case = Case::of(specs());
        case.start(stopped);
        case.spawned(stopped);
        let start = case.start(started);
        case.is(started, Status::Waiting);
        assert_eq!(
            case.engine.why(case.id(started)),
            Why::WaitsFor(vec![case.id(stopped)]),
            "it waits until that is gone"
        );
        case.dies(stopped, Signal::TERM);
        let why = StopCause::ConflictsWith(case.id(started));
        assert_eq!(case.state(stopped), &State::Stopped(why));
        case.spawned(started);
        case.came_to(start, started, &Outcome::Started);
        case.after(secs(100));
        case.is(stopped, Status::Stopped);
    }
}

#[test]
fn what_requires_the_loser_goes_with_it_and_its_start_is_superseded() {
    let specs = [simple("new").conflicts("old"), notify("old"), simple("ui").requires("old")];
    let mut case = Case::of(specs);
    let first = case.start("ui");
    case.spawned("old");
    let second = case.start("new");
    case.came_to(first, "ui", &Outcome::Superseded);
    case.came_to(first, "old", &Outcome::Superseded);
    assert_eq!(case.state("ui"), &State::Stopped(StopCause::StoppedWith(case.id("old"))));
    case.dies("old", Signal::TERM);
    case.spawned("new");
    case.came_to(second, "new", &Outcome::Started);
}

#[test]
fn a_loser_that_waits_for_its_restart_stays_down() {
    let mut case = Case::of([simple("new").conflicts("old"), simple("old")]);
    case.start("old");
    case.spawn_fails("old");
    case.is("old", Status::Backoff);
    case.start("new");
    case.is("new", Status::Starting);
    case.after(secs(100));
    case.is("old", Status::Stopped);
}

#[test]
fn of_two_that_are_asked_for_at_once_the_first_one_comes_up() {
    let specs = || [simple("a").conflicts("b"), simple("b")];
    for (asked, winner, loser) in [("a b", "a", "b"), ("b a", "b", "a")] {
        let mut case = Case::of(specs());
        let start = case.start(asked);
        case.spawned(winner);
        case.came_to(start, winner, &Outcome::Started);
        case.came_to(start, loser, &Outcome::ConflictsWith(case.id(winner)));
        let why = StopCause::ConflictsWith(case.id(winner));
        assert_eq!(case.engine.why(case.id(loser)), Why::Down(why));
    }
    let mut case = Case::of(specs());
    let boot = case.boot();
    case.does(["a spawn"]);
    case.came_to(boot, "b", &Outcome::ConflictsWith(case.id("a")));
    assert!(!Outcome::ConflictsWith(case.id("a")).is_ok());
}

#[test]
fn what_is_required_ousts_its_rivals_and_what_is_merely_wanted_yields_to_them() {
    let specs = |needs: fn(Spec) -> Spec| {
        [needs(simple("web")), simple("new").conflicts("old"), simple("old")]
    };
    let mut case = Case::of(specs(|web| web.requires("new")));
    case.start("old");
    case.spawned("old");
    case.start("web");
    case.is("old", Status::Stopping);

    let mut case = Case::of(specs(|web| web.wants("new")));
    case.start("old");
    case.spawned("old");
    case.start("web");
    case.is("old", Status::Running);
    case.is("web", Status::Starting);
    assert_eq!(case.state("new"), &State::Stopped(StopCause::ConflictsWith(case.id("old"))));
}

#[test]
fn a_start_fails_when_what_it_conflicts_with_cannot_be_ended() {
    let mut case =
        Case::up([simple("new").conflicts("old").with(|s| s.enabled = false), simple("old")]);
    let start = case.start("new");
    case.after(secs(10));
    case.is("new", Status::Waiting);
    case.after(secs(10));
    case.came_to(start, "new", &Outcome::Failed(FailReason::Conflict(case.id("old"))));
}

#[test]
fn a_plan_shows_who_has_to_go() {
    let case =
        Case::up([simple("new").conflicts("old").with(|s| s.enabled = false), simple("old")]);
    let plan = case.engine.plan_start(&case.ids("new"));
    let steps: Vec<_> = plan
        .waves
        .iter()
        .flatten()
        .map(|step| (step.service, step.what, step.because_of))
        .collect();
    let (new, old) = (case.id("new"), case.id("old"));
    assert_eq!(steps, [(old, PlanKind::Stop, Some(new)), (new, PlanKind::Start, None)]);
}

#[test]
fn what_is_upheld_is_started_again_whatever_its_policy() {
    for code in [0, 1] {
        let mut case = Case::up([simple("web").upholds("job"), never("job")]);
        case.exits("job", code);
        case.does(["job release"]);
        case.is("job", Status::Backoff);
        case.after(millis(100));
        case.does(["job spawn"]);
        let why = Cause::UpheldBy(case.id("web"));
        assert!(case.transitions.iter().any(|change| change.cause == why));
    }
}

#[test]
fn what_is_upheld_is_tried_again_when_its_start_limit_allows() {
    let job = at_most(never("job"), 2).with(|spec| spec.restart.delay = secs(1));
    let mut case = Case::up([simple("web").upholds("job"), job]);
    case.exits("job", 1);
    case.after(secs(1));
    case.spawn_fails("job");
    case.after(secs(5));
    case.is("job", Status::Backoff);
    let limit = FailReason::StartLimit;
    assert!(matches!(case.state("job"), State::Backoff(backoff) if backoff.reason == limit));
    case.actions();
    // One minute after the first of the two.
    case.after(secs(53));
    case.does([]);
    case.after(secs(1));
    case.does(["job spawn"]);
}

#[test]
fn what_is_upheld_is_tried_until_what_it_requires_works() {
    let specs = [simple("web").upholds("job"), never("job").requires("disk"), never("disk")];
    let mut case = Case::of(specs);
    case.start("web");
    case.spawn_fails("disk");
    case.is("job", Status::Backoff);
    case.spawned("web");
    case.actions();
    case.after(secs(1));
    case.does(["disk spawn"]);
    case.spawned("disk");
    case.does(["job spawn"]);
}

#[test]
fn what_was_stopped_by_request_stays_down_until_its_upholder_starts_anew() {
    let mut case = Case::up([simple("web").upholds("job"), never("job")]);
    case.stop("job");
    case.dies("job", Signal::TERM);
    case.after(secs(100));
    case.is("job", Status::Stopped);
    case.exits("web", 1);
    case.actions();
    case.after(millis(100));
    case.does(["job spawn"]);
    case.spawned("job");
    case.does(["web spawn"]);
}

#[test]
fn nobody_is_upheld_by_what_is_down() {
    let mut case = Case::up([simple("web").upholds("job"), never("job")]);
    case.exits("job", 0);
    case.stop("web");
    case.dies("web", Signal::TERM);
    case.after(secs(100));
    case.is("job", Status::Exited);
}

/// Where nobody knows how it has ended there is still an end to rest at.
#[test]
fn what_has_emptied_rests_once_nobody_upholds_it() {
    let job = forking("job").with(|spec| spec.restart.policy = RestartPolicy::No);
    let mut case = Case::of([simple("web").upholds("job"), job]);
    case.boot();
    case.spawned("job");
    case.exits_leaving_others("job", 0);
    case.report("job", Report::MainUnknown);
    case.spawned("web");
    case.report("job", Report::Emptied);
    case.is("job", Status::Backoff);
    case.stop("web");
    case.dies("web", Signal::TERM);
    case.after(secs(100));
    case.is("job", Status::Exited);
}

#[test]
fn a_failure_starts_others_and_says_so() {
    let specs = [never("web").on_failure("alert"), never("alert").with(|s| s.enabled = false)];
    let mut case = Case::up(specs);
    let invocation = case.invocation("web");
    case.exits("web", 3);
    case.does(["web release", "alert spawn"]);
    let trigger = case.engine.service(case.id("alert")).trigger().expect("it was triggered");
    assert_eq!((trigger.by, trigger.invocation), (case.id("web"), Some(invocation)));
    assert_eq!(trigger.exit, Some(Exit::Code(3)));
    assert!(matches!(trigger.failure, Some(FailReason::Ended(_))));
    case.start("web alert");
    case.exits("alert", 0);
    case.start("alert");
    assert_eq!(case.engine.service(case.id("alert")).trigger(), None, "it was asked for");
}

/// Which ends start others: `on-failure`, `on-success`.
#[test]
fn only_an_end_that_is_one_starts_others() {
    type Story = fn(&mut Case);
    let fail: Story = |case| case.exits("web", 1);
    let end: Story = |case| case.exits("web", 0);
    let stop: Story = |case| {
        case.stop("web");
        case.exits("web", 1);
    };
    let no = RestartPolicy::No;
    let always = RestartPolicy::Always;
    for (policy, story, bad, good) in [
        (no, fail, true, false),
        (no, end, false, true),
        (no, stop, false, false),
        (always, fail, false, false),
        (always, end, false, false),
    ] {
        let web = simple("web").on_failure("bad").on_success("good");
        let web = web.with(|spec| spec.restart.policy = policy);
        let off = |name| never(name).with(|spec| spec.enabled = false);
        let mut case = Case::up([web, off("bad"), off("good")]);
        story(&mut case);
        let started = |name| case.status(name) == Status::Starting;
        assert_eq!((started("bad"), started("good")), (bad, good), "{policy:?}");
    }
}

#[test]
fn a_dependency_and_the_start_limit_are_failures_too() {
    let web = never("web").requires("db").on_failure("alert");
    let alert = || never("alert").with(|spec| spec.enabled = false);
    let mut case = Case::of([web, never("db"), alert()]);
    case.boot();
    case.spawn_fails("db");
    case.is("web", Status::Failed);
    case.is("alert", Status::Starting);

    let mut case = Case::of([at_most(simple("web"), 1).on_failure("alert"), alert()]);
    case.boot();
    case.spawn_fails("web");
    case.is("alert", Status::Stopped);
    case.after(secs(1));
    assert_eq!(case.state("web"), &State::Failed(FailReason::StartLimit));
    case.is("alert", Status::Starting);
}

#[test]
fn two_that_start_each_other_come_to_an_end() {
    let specs = [at_most(never("a"), 3).on_failure("b"), at_most(never("b"), 3).on_failure("a")];
    let mut case = Case::of(specs);
    case.start("a");
    let mut spawns = 0;
    loop {
        let actions = case.actions();
        let Some(name) = actions.iter().find_map(|action| action.strip_suffix(" spawn")) else {
            break;
        };
        spawns += 1;
        case.spawn_fails(name);
    }
    assert_eq!(spawns, 6);
    case.is("a", Status::Failed);
    case.is("b", Status::Failed);
}

#[test]
fn nothing_is_started_for_an_end_during_a_shutdown() {
    let alert = never("alert").with(|spec| spec.enabled = false);
    let mut case = Case::up([never("web").on_failure("alert"), alert, simple("db").before("web")]);
    case.shut_down(None);
    case.exits("web", 1);
    case.is("alert", Status::Stopped);
}

#[test]
fn a_oneshot_that_has_done_its_work_does_it_again_for_each_failure() {
    let mut case = Case::up([never("web").on_failure("alert"), oneshot("alert")]);
    case.is("alert", Status::Exited);
    case.exits("web", 1);
    case.does(["web release", "alert release", "alert spawn"]);
}

#[test]
fn a_start_may_wait_for_the_process_only() {
    let mut case = Case::of([simple("web").requires("db").started(), notify("db")]);
    case.start("web");
    case.does(["db spawn"]);
    case.spawned("db");
    case.does(["web spawn"]);
    case.spawned("web");
    case.exits("db", 0);
    case.is("db", Status::Backoff);
    case.is("web", Status::Running);

    let mut case = Case::of([simple("web").requires("db").started(), notify("db")]);
    let start = case.start("web");
    case.spawn_fails("db");
    case.came_to(start, "web", &Outcome::Failed(FailReason::Dependency(case.id("db"))));

    let web = simple("web").requires("db").started().after("db");
    let mut case = Case::of([web, notify("db")]);
    case.start("web");
    case.spawned("db");
    case.is("web", Status::Waiting);
}

/// With `direct`: those that are bound stay up, those that wait go on waiting. Who asked has the
/// answer, as with every first try that fails.
#[test]
fn dependents_do_not_see_a_direct_restart() {
    for (mode, unseen) in [(RestartMode::Normal, false), (RestartMode::Direct, true)] {
        let db = || at_most(notify("db"), 2).with(|spec| spec.restart.mode = mode);
        let mut case = Case::up([simple("web").binds_to("db"), db()]);
        case.exits("db", 1);
        assert_eq!(case.status("web") == Status::Running, unseen, "{mode:?}");

        let mut case = Case::of([simple("web").requires("db"), simple("log").wants("db"), db()]);
        let start = case.start("web log");
        case.spawn_fails("db");
        assert_eq!(case.status("log") == Status::Waiting, unseen, "{mode:?}");
        let failed = Outcome::Failed(FailReason::Dependency(case.id("db")));
        case.came_to(start, "web", &failed);
        assert!(matches!(case.outcome(start, "db"), Some(Outcome::Failed(FailReason::Ended(_)))));
        assert_eq!(case.outcome(start, "log") == Some(failed), unseen, "{mode:?}");
        case.after(secs(1));
        case.spawn_fails("db");
        case.after(secs(1));
        case.is("db", Status::Failed);
        case.is("web", Status::Failed);
    }
}

/// What `systemd.unit(5)` leaves to the order of jobs: a stop goes before the start of what is
/// ordered with it, in whichever direction.
#[test]
fn the_stop_goes_first_whatever_the_order_of_the_two() {
    for new in
        [simple("new").conflicts("old").after("old"), simple("new").conflicts("old").before("old")]
    {
        let mut case = Case::of([new, simple("old")]);
        case.start("old");
        case.spawned("old");
        case.start("new");
        case.actions();
        case.dies("old", Signal::TERM);
        case.does(["old release", "new spawn"]);
    }
}
