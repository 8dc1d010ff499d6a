use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use supervisor_api::{ErrorBody, ErrorCode, EventKind};

use super::{EventLog, Gone, KEPT, Lagged, Subscription};

#[test]
fn revs_count_from_one_without_gaps() {
    let mut log = EventLog::new();
    assert_eq!(log.rev(), 0);
    assert_eq!(publish(&mut log), 1);
    assert_eq!(publish(&mut log), 2);
    assert_eq!(log.rev(), 2);
}

#[test]
fn a_subscriber_gets_what_it_missed_and_then_what_happens() {
    let mut log = EventLog::new();
    publish_many(&mut log, 3);
    let mut subscription = log.subscribe(Some(1)).unwrap();
    publish(&mut log);
    assert_eq!(revs(&mut subscription), [2, 3, 4]);
    publish(&mut log);
    assert_eq!(revs(&mut subscription), [5]);
}

#[test]
fn without_since_only_new_events_come() {
    let mut log = EventLog::new();
    publish_many(&mut log, 3);
    let mut subscription = log.subscribe(None).unwrap();
    assert_eq!(revs(&mut subscription), [0; 0]);
    publish(&mut log);
    assert_eq!(revs(&mut subscription), [4]);
}

#[test]
fn exactly_the_last_1024_are_kept() {
    let mut log = EventLog::new();
    let kept = KEPT as u64;
    publish_many(&mut log, kept + 10);
    let mut subscription = log.subscribe(Some(10)).unwrap();
    assert_eq!(revs(&mut subscription), (11..=kept + 10).collect::<Vec<_>>());
    let gone = log.subscribe(Some(9)).unwrap_err();
    assert_eq!(gone, Gone { since: 9, oldest: 11, last: kept + 10 });
    assert_eq!(ErrorBody::from(gone).code, ErrorCode::Gone);
}

#[test]
fn a_rev_of_another_boot_is_gone() {
    let mut log = EventLog::new();
    assert!(log.subscribe(Some(0)).is_ok());
    publish(&mut log);
    assert!(log.subscribe(Some(1)).is_ok());
    assert!(log.subscribe(Some(2)).is_err());
    assert!(log.subscribe(Some(u64::MAX)).is_err());
}

#[test]
fn a_slow_subscriber_is_told_and_holds_up_nobody() {
    let mut log = EventLog::new();
    let mut slow = log.subscribe(None).unwrap();
    let mut quick = log.subscribe(None).unwrap();
    for rev in 1..=KEPT as u64 + 5 {
        publish(&mut log);
        assert_eq!(revs(&mut quick), [rev]);
    }
    assert_eq!(slow.try_next(), Some(Err(Lagged { missed: 5 })));
    assert_eq!(revs(&mut slow), (6..=KEPT as u64 + 5).collect::<Vec<_>>());
}

#[test]
fn the_end_comes_after_what_was_published_before_it() {
    let mut log = EventLog::new();
    let mut subscription = log.subscribe(None).unwrap();
    publish_many(&mut log, 2);
    drop(log);
    assert_eq!(revs(&mut subscription), [1, 2]);
    assert!(matches!(poll(subscription.next()), Poll::Ready(None)));
    assert!(matches!(poll(subscription.next()), Poll::Ready(None)), "and it stays the end");
}

#[tokio::test]
async fn publishing_wakes_a_waiting_subscriber() {
    let mut log = EventLog::new();
    let mut subscription = log.subscribe(None).unwrap();
    let waiter = tokio::spawn(async move { subscription.next().await });
    tokio::task::yield_now().await;
    publish(&mut log);
    assert_eq!(waiter.await.unwrap().unwrap().unwrap().rev, 1);
}

#[test]
fn subscribers_are_counted() {
    let log = EventLog::new();
    let first = log.subscribe(None).unwrap();
    let second = log.subscribe(None).unwrap();
    assert_eq!(log.subscribers(), 2);
    drop((first, second));
    assert_eq!(log.subscribers(), 0);
}

fn publish(log: &mut EventLog) -> u64 {
    let kind = EventKind::Status { service: "web".into(), text: "ok".into() };
    log.publish(kind, 1_700_000_000_000)
}

fn publish_many(log: &mut EventLog, count: u64) {
    for _ in 0..count {
        publish(log);
    }
}

/// The numbers of all events that can be read without waiting.
fn revs(subscription: &mut Subscription) -> Vec<u64> {
    let mut revs = Vec::new();
    while let Poll::Ready(Some(event)) = poll(subscription.next()) {
        revs.push(event.unwrap().rev);
    }
    revs
}

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
