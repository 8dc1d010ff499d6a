use std::collections::HashSet;
use std::io::{BufRead, BufReader, PipeReader, pipe};

use nix::unistd::Pid;
use supervisor_engine::{Exit, Signal};

use super::proc::Children;
use super::{Roots, Tree};
use crate::process::fixture::{alone, argv, await_end, await_readable, command, context};
use crate::process::{Child, Command, Session, Spawner, become_reaper, next_zombie, open, reap};

/// One service, in a process that has no other children.
struct Service {
    main: Child,
    tag: Option<u64>,
    lines: BufReader<PipeReader>,
    /// Whether it is known to run.
    live: bool,
}

impl Service {
    /// Starts a shell script as the main process.
    fn start(script: &str, tag: Option<u64>) -> Self {
        become_reaper().expect("subreaper");
        let (reader, writer) = pipe().expect("pipe");
        let (argv, context) = (argv(&["sh", "-c", script]), context());
        let command = Command { tag, ..command(&argv, &context, &writer) };
        let main = Spawner::new().expect("spawner").spawn(&command).expect("sh");
        Self { main, tag, lines: BufReader::new(reader), live: true }
    }

    /// The pid that one of its processes writes as soon as it is what it is to be.
    fn pid(&mut self) -> Pid {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("output");
        Pid::from_raw(line.trim().parse().expect("a pid"))
    }

    fn await_end(&mut self) -> Exit {
        self.live = false;
        await_end(&self.main)
    }

    fn known(&self) -> impl Fn(Pid) -> bool {
        let (pid, live) = (self.main.pid, self.live);
        move |other| live && other == pid
    }

    /// The pids of its processes, sorted.
    fn members(&self, tree: &Tree) -> Vec<Pid> {
        let orphans = tree.orphans(self.known()).expect("orphans");
        let mut pids: Vec<Pid> = self.with_roots(|roots| {
            tree.members(roots, &orphans).expect("members").iter().map(|stat| stat.pid).collect()
        });
        pids.sort();
        pids
    }

    fn kill(&self, tree: &Tree) {
        self.with_roots(|roots| tree.kill(roots, self.known()).expect("kill"));
    }

    fn signal(&self, tree: &Tree, signal: Signal) {
        let orphans = tree.orphans(self.known()).expect("orphans");
        self.with_roots(|roots| tree.signal(roots, &orphans, signal).expect("signal"));
    }

    fn with_roots<T>(&self, f: impl FnOnce(&Roots<'_>) -> T) -> T {
        let started = [self.main.pid];
        let live = if self.live { &started[..] } else { &[] };
        f(&Roots { live, started: &started, tag: self.tag })
    }

    /// Kills the service and waits until nothing of this process's children is left.
    fn end(mut self, tree: &Tree) {
        self.kill(tree);
        if self.live {
            self.await_end();
        }
        while let Some(orphan) = tree.children.of(Pid::this()).expect("children").first() {
            await_pid(*orphan);
        }
    }
}

/// Waits for the end of an adopted child and reaps it.
fn await_pid(pid: Pid) -> Exit {
    await_readable(&open(pid).expect("pidfd").expect("not yet reaped"));
    reap(pid).expect("our child").expect("ended")
}

/// Waits until the process is our child: its own parent has to notice its end first.
fn await_adoption(pid: Pid) {
    while super::Stat::read(pid).expect("/proc").expect("alive").parent != Pid::this() {
        std::thread::yield_now();
    }
}

fn sorted(pids: impl Into<Vec<Pid>>) -> Vec<Pid> {
    let mut pids = pids.into();
    pids.sort();
    pids
}

/// Both ways to find children.
fn trees() -> [Tree; 2] {
    let tree = Tree::new().expect("tree");
    [
        Tree { children: Children::Listed, own_tag: tree.own_tag },
        Tree { children: Children::Searched, own_tag: tree.own_tag },
    ]
}

/// A daemon as they were written once: two forks, a session, and nothing kept but stdout.
const DAEMON: &str = "(env -i setsid sh -c 'echo $$; exec sleep 60' &)";

#[test]
fn a_lone_process_is_all_there_is() {
    alone(|| {
        for tree in trees() {
            let mut service = Service::start("echo $$; exec sleep 60", Some(1));
            assert_eq!(service.pid(), service.main.pid);
            assert_eq!(service.members(&tree), [service.main.pid]);
            service.signal(&tree, Signal::TERM);
            service.await_end();
            assert_eq!(service.members(&tree), []);
            service.end(&tree);
        }
    });
}

#[test]
fn descendants_are_found_whatever_they_do() {
    alone(|| {
        for tree in trees() {
            for tag in [Some(1), None] {
                let script = "echo $$; setsid sh -c 'echo $$; sleep 60; :' & wait";
                let mut service = Service::start(script, tag);
                let (main, child) = (service.pid(), service.pid());
                let members = loop {
                    let members = service.members(&tree);
                    // The child's own child, `sleep`, makes three.
                    if members.len() == 3 {
                        break members;
                    }
                    std::thread::yield_now();
                };
                assert!(members.contains(&main) && members.contains(&child), "{members:?}");
                service.end(&tree);
            }
        }
    });
}

#[test]
fn a_daemon_that_has_left_session_and_environment_is_found_by_its_tag() {
    alone(|| {
        for tree in trees() {
            let mut service = Service::start(&format!("{DAEMON}; {DAEMON}"), Some(4711));
            let daemons = sorted([service.pid(), service.pid()]);
            daemons.iter().copied().for_each(await_adoption);
            assert_eq!(service.await_end(), Exit::Code(0));
            assert_eq!(service.members(&tree), daemons);
            service.end(&tree);
        }
    });
}

#[test]
fn an_orphan_without_tag_is_found_by_its_session_or_group() {
    alone(|| {
        let [tree, _] = trees();
        for tag in [None, Some(1)] {
            let mut service = Service::start("sh -c 'echo $$; exec sleep 60' & :", tag);
            let orphan = service.pid();
            assert_eq!(service.await_end(), Exit::Code(0));
            await_adoption(orphan);
            // As one whose tag could not be set.
            service.tag = None;
            assert_eq!(service.members(&tree), if tag.is_none() { vec![orphan] } else { vec![] });
            service.tag = tag;
            assert_eq!(service.members(&tree), [orphan]);
            service.end(&tree);
        }
    });
}

#[test]
fn services_do_not_get_each_others_processes() {
    alone(|| {
        let [tree, _] = trees();
        let mut services = [1, 2].map(|tag| Service::start(&format!("{DAEMON}; :"), Some(tag)));
        let daemons = services.each_mut().map(|service| {
            let daemon = service.pid();
            service.await_end();
            await_adoption(daemon);
            daemon
        });
        for (service, daemon) in services.iter().zip(daemons) {
            assert_eq!(service.members(&tree), [daemon]);
        }
        let [first, second] = services;
        first.kill(&tree);
        await_pid(daemons[0]);
        assert_eq!(second.members(&tree), [daemons[1]]);
        // The number of a main process that is gone says nothing against a tag.
        let started = [Pid::this(), daemons[1]];
        let orphans = tree.orphans(|_| false).expect("orphans");
        let roots = Roots { live: &[], started: &started, tag: Some(1) };
        assert_eq!(tree.members(&roots, &orphans).expect("members"), []);
        second.end(&tree);
    });
}

#[test]
fn orphans_are_the_children_that_nobody_knows() {
    alone(|| {
        let [tree, _] = trees();
        let mut service = Service::start(&format!("{DAEMON}; exec sleep 60"), Some(1));
        let daemon = service.pid();
        await_adoption(daemon);
        let orphans = tree.orphans(service.known()).expect("orphans");
        assert_eq!(orphans.iter().map(|orphan| orphan.stat.pid).collect::<Vec<_>>(), [daemon]);
        assert_eq!(orphans[0].tag, Some(1));
        assert_eq!(tree.orphans(|_| true).expect("orphans"), []);
        service.end(&tree);
    });
}

#[test]
fn zombies_do_not_count() {
    alone(|| {
        for tree in trees() {
            let mut service = Service::start("(sh -c 'echo $$' &)", Some(1));
            let orphan = service.pid();
            await_readable(&service.main.pidfd);
            await_readable(&open(orphan).expect("pidfd").expect("not yet reaped"));
            await_adoption(orphan);
            assert_eq!(service.members(&tree), [], "main is a zombie");
            service.await_end();
            assert_eq!(service.members(&tree), [], "the orphan is a zombie");
            assert_eq!(next_zombie().expect("wait"), Some((orphan, Exit::Code(0))));
            service.end(&tree);
        }
    });
}

#[test]
fn stopped_processes_are_killed_and_continued() {
    alone(|| {
        let [tree, _] = trees();
        for signal in [Signal::TERM, Signal::KILL] {
            // One in the group of main, one out of it.
            let script = "sh -c 'echo $$; kill -STOP $$' &
                setsid sh -c 'echo $$; kill -STOP $$' & wait";
            let mut service = Service::start(script, Some(1));
            let stopped = [service.pid(), service.pid()];
            for pid in stopped {
                while !std::fs::read_to_string(format!("/proc/{pid}/stat"))
                    .expect("/proc")
                    .contains(" T ")
                {
                    std::thread::yield_now();
                }
            }
            if signal == Signal::KILL {
                service.kill(&tree);
            } else {
                service.signal(&tree, signal);
            }
            assert_eq!(service.await_end(), Exit::Signal { signal, core: false });
            for pid in stopped {
                // Gone if the shell has got to reap it before its own end.
                if let Some(pidfd) = open(pid).expect("pidfd") {
                    await_readable(&pidfd);
                }
            }
            assert_eq!(service.members(&tree), []);
            service.end(&tree);
        }
    });
}

#[test]
fn processes_that_ignore_term_are_killed() {
    alone(|| {
        let [tree, _] = trees();
        let script = "trap '' TERM; (setsid sh -c 'echo $$; exec sleep 60' &); echo $$; wait;
            while :; do sleep 60; done";
        let mut service = Service::start(script, Some(1));
        let pids = HashSet::from([service.pid(), service.pid()]);
        service.signal(&tree, Signal::TERM);
        assert!(service.members(&tree).iter().filter(|pid| pids.contains(pid)).count() == 2);
        service.kill(&tree);
        assert_eq!(service.await_end(), Exit::Signal { signal: Signal::KILL, core: false });
        service.end(&tree);
    });
}

#[test]
fn a_service_that_keeps_forking_is_killed_whole() {
    alone(|| {
        let [tree, _] = trees();
        let hopper = "hop() { (setsid sh -c \"$1\" hop \"$1\" &); }; echo $$; hop \"$1\"";
        let script =
            format!("for i in 1 2 3; do setsid sh -c '{hopper}' hop '{hopper}' & done; wait");
        let mut service = Service::start(&script, Some(1));
        for _ in 0..20 {
            service.pid();
        }
        let mut rounds = 0;
        loop {
            service.kill(&tree);
            if service.live {
                service.await_end();
            }
            while let Some((pid, _)) = next_zombie().expect("wait") {
                reap(pid).expect("reap");
            }
            rounds += 1;
            if service.members(&tree).is_empty() {
                break;
            }
            assert!(rounds < 100, "it got away");
        }
        service.end(&tree);
    });
}

#[test]
fn a_command_in_a_group_of_its_own_is_signalled_with_its_children() {
    alone(|| {
        let [tree, _] = trees();
        become_reaper().expect("subreaper");
        let (reader, writer) = pipe().expect("pipe");
        let (argv, context) = (argv(&["sh", "-c", "sleep 60 & echo; wait"]), context());
        let command = Command { session: Session::Group, ..command(&argv, &context, &writer) };
        let child = Spawner::new().expect("spawner").spawn(&command).expect("sh");
        BufReader::new(reader).read_line(&mut String::new()).expect("output");
        let live = [child.pid];
        let roots = Roots { live: &live, started: &live, tag: None };
        assert_eq!(tree.members(&roots, &[]).expect("members").len(), 2);
        tree.signal(&roots, &[], Signal::TERM).expect("signal");
        await_end(&child);
        for orphan in tree.children.of(Pid::this()).expect("children") {
            assert_eq!(await_pid(orphan), Exit::Signal { signal: Signal::TERM, core: false });
        }
    });
}
