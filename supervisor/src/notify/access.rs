//! Whose messages count: the rule of `NotifyAccess=` (`systemd.service(5)`).

use crate::config::NotifyAccess;

/// Whether a message from process `sender`, received on the socket of a service, counts.
///
/// `main` and `control` are the live processes of the service. `daemon` is this process: root's
/// `systemd-notify` speaks for its parent, and if the service's command *is* `systemd-notify`, then
/// that parent is us. Such a message comes from the service, but not from its main process.
///
/// As in systemd, root can name any process as the sender.
pub fn authorised(
    access: NotifyAccess,
    sender: i32,
    main: Option<i32>,
    control: Option<i32>,
    daemon: i32,
) -> bool {
    let is = |process: Option<i32>| sender != daemon && process == Some(sender);
    match access {
        NotifyAccess::None => false,
        NotifyAccess::Main => is(main),
        NotifyAccess::Exec => is(main) || is(control),
        NotifyAccess::All => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAEMON: i32 = 1;
    const MAIN: i32 = 100;
    const CONTROL: i32 = 101;
    const OTHER: i32 = 102;

    #[test]
    fn each_access_admits_its_processes_and_no_other() {
        #[rustfmt::skip]
        let table = [
            // access             main   control other  daemon
            (NotifyAccess::None, [false, false, false, false]),
            (NotifyAccess::Main, [true,  false, false, false]),
            (NotifyAccess::Exec, [true,  true,  false, false]),
            (NotifyAccess::All,  [true,  true,  true,  true]),
        ];
        for (access, expected) in table {
            let actual = [MAIN, CONTROL, OTHER, DAEMON]
                .map(|sender| authorised(access, sender, Some(MAIN), Some(CONTROL), DAEMON));
            assert_eq!(actual, expected, "{access:?}");
        }
    }

    #[test]
    fn a_process_that_is_gone_admits_nobody() {
        for (access, expected) in [
            (NotifyAccess::None, false),
            (NotifyAccess::Main, false),
            (NotifyAccess::Exec, false),
            (NotifyAccess::All, true),
        ] {
            for sender in [MAIN, CONTROL, OTHER, DAEMON] {
                let actual = authorised(access, sender, None, None, DAEMON);
                assert_eq!(actual, expected, "{access:?} from {sender}");
            }
        }
    }

    #[test]
    fn the_daemon_is_never_the_main_process() {
        assert!(!authorised(NotifyAccess::Main, DAEMON, Some(DAEMON), None, DAEMON));
        assert!(!authorised(NotifyAccess::Exec, DAEMON, None, Some(DAEMON), DAEMON));
    }
}
