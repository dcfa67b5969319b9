//! A durable message that was acknowledged as sent is processed or in the dead letters, whoever dies, leaves or is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use governance::coordination::{MailboxOptions, Overflow, Sent};
use governance::vocabulary::Token;
use governance_tests::world::Backend;
use proptest::prelude::*;
use proptest::sample::select;

use crate::bus::{bus, id, joined, record};

governance_tests::on_every_backend! {
    promise_08_messages_of_many_senders_are_each_processed_or_in_the_dead_letters_and_in_order
    a_member_whose_removal_was_cut_short_is_seen_off_by_the_next_who_uses_the_bus
    a_member_that_joins_again_begins_with_an_empty_inbox
    a_message_whose_sender_died_is_in_every_inbox_or_in_none
    a_delivery_whose_receiver_died_comes_again
    a_message_sent_while_its_recipient_is_removed_is_refused_or_in_the_dead_letters
}

fn promise_08_messages_of_many_senders_are_each_processed_or_in_the_dead_letters_and_in_order(on: Backend) {
    let options = (1..20_u64, select(vec![Overflow::Refuse, Overflow::DropOldest]), 1..4_u32, any::<bool>());
    on.property((options, 5..25_u64, 0..4_u32), async |world, ((capacity, overflow, max_deliveries, removed), messages, careless)| {
        let redeliver_after = Duration::ZERO;
        let options = MailboxOptions { capacity, overflow, redeliver_after, max_deliveries };
        let beta = joined(&world, "beta", options).await;
        let mut senders = Vec::new();
        for sender in 0..3 {
            let (store, actor) = world.actor(&format!("sender-{sender}")).await;
            let bus = bus(&store, &actor);
            senders.push(tokio::spawn(async move {
                let mut sent = Vec::new();
                for number in 0..messages {
                    loop {
                        match bus.send(&id("beta"), &(sender, number)).await {
                            Ok(Sent::Accepted(id)) => break sent.push(id),
                            Ok(Sent::Full { .. }) => tokio::task::yield_now().await,
                            Err(error) => {
                                assert_eq!(error.code(), "no_such_member");
                                return sent;
                            }
                        }
                    }
                }
                sent
            }));
        }
        let receiver = beta.clone();
        let receiving = tokio::spawn(async move {
            let (mut first_seen, mut processed) = (Vec::new(), Vec::new());
            // Goes on until told that nothing more comes.
            loop {
                let Some(delivery) = receiver.take().await.unwrap() else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if delivery.message.body == "end" {
                    return (first_seen, processed);
                }
                if delivery.attempt == 1 {
                    first_seen.push(delivery.message.body.clone());
                }
                // Careless: some deliveries are forgotten.
                if delivery.attempt > careless % 3 && receiver.acknowledge(&delivery).await.is_ok() {
                    processed.push(delivery.message.id);
                }
            }
        });
        let mut sent = BTreeSet::new();
        let watcher = joined(&world, "watcher", MailboxOptions::default()).await;
        if removed {
            watcher.remove(&id("beta"), "it does not answer").await.unwrap();
        }
        for sender in senders {
            sent.extend(sender.await.unwrap());
        }
        if !removed {
            watcher.remove(&id("beta"), "done").await.unwrap();
        }
        joined(&world, "beta", MailboxOptions::default()).await.send(&id("beta"), &"end").await.unwrap();
        let (first_seen, processed) = receiving.await.unwrap();
        let dead: BTreeSet<Token> = watcher.dead_letters().await.unwrap().into_iter().map(|letter| letter.message.id).collect();
        let ended: BTreeSet<Token> = processed.into_iter().chain(dead).collect();
        let lost: Vec<_> = sent.difference(&ended).collect();
        assert!(lost.is_empty(), "sent, but neither processed nor in the dead letters: {lost:?}");
        let mut latest: BTreeMap<u64, u64> = BTreeMap::new();
        for body in first_seen {
            let (sender, number) = (body[0].as_u64().unwrap(), body[1].as_u64().unwrap());
            let earlier = latest.insert(sender, number);
            assert!(earlier.is_none_or(|earlier| earlier < number), "out of order from sender {sender}: {number} after {earlier:?}");
        }
    });
}

fn a_member_whose_removal_was_cut_short_is_seen_off_by_the_next_who_uses_the_bus(on: Backend) {
    on.story(async |world| {
        let alpha = joined(&world, "alpha", MailboxOptions::default()).await;
        let (_, remover) = world.actor("remover").await;
        for commit in 1.. {
            for after in [false, true] {
                let _beta = joined(&world, "beta", MailboxOptions::default()).await;
                let before = alpha.dead_letters().await.unwrap().len();
                for number in 0..3 {
                    alpha.send(&id("beta"), &number).await.unwrap();
                }
                let (store, crash) = world.mortal(commit, after).await;
                let survived = crash.during(bus(&store, &remover).remove(&id("beta"), "gone")).await;
                let here = alpha.members().await.unwrap().iter().any(|(member, _)| *member == id("beta"));
                let dead: Vec<_> = alpha.dead_letters().await.unwrap().drain(before..).map(|letter| letter.message.body).collect();
                if here {
                    assert!(commit == 1 && !after && dead.is_empty(), "only a removal that did not begin leaves the member");
                    alpha.remove(&id("beta"), "gone").await.unwrap();
                } else {
                    assert_eq!(dead, [0, 1, 2], "died at commit {commit}");
                }
                if survived.is_some() {
                    assert!(commit > 4, "the removal took {commit} commits");
                    return;
                }
            }
        }
    });
}

fn a_member_that_joins_again_begins_with_an_empty_inbox(on: Backend) {
    on.story(async |world| {
        let alpha = joined(&world, "alpha", MailboxOptions::default()).await;
        let (_, remover) = world.actor("remover").await;
        let mut beta = joined(&world, "beta", MailboxOptions::default()).await;
        alpha.send(&id("beta"), &"old").await.unwrap();
        let claimed = beta.receive().await.unwrap();
        let (store, crash) = world.mortal(2, false).await;
        assert_eq!(crash.during(bus(&store, &remover).remove(&id("beta"), "gone")).await.map(|_| ()), None);
        beta.join(MailboxOptions::default()).await.unwrap();
        assert_eq!(beta.take().await.unwrap(), None);
        assert_eq!(beta.acknowledge(&claimed).await.unwrap_err().code(), "claim_lost");
        assert_eq!(alpha.dead_letters().await.unwrap().len(), 1);
        alpha.send(&id("beta"), &"new").await.unwrap();
        assert_eq!(beta.receive().await.unwrap().message.body, "new");
    });
}

fn a_message_whose_sender_died_is_in_every_inbox_or_in_none(on: Backend) {
    on.story(async |world| {
        let alpha = joined(&world, "alpha", MailboxOptions::default()).await;
        let beta = joined(&world, "beta", MailboxOptions::default()).await;
        let (_, sender) = world.actor("sender").await;
        for after in [false, true] {
            let (store, crash) = world.mortal(1, after).await;
            assert_eq!(crash.during(bus(&store, &sender).broadcast(&"hello")).await.map(|_| ()), None);
            for bus in [&alpha, &beta] {
                let taken = bus.take().await.unwrap();
                assert_eq!(taken.is_some(), after);
                if let Some(delivery) = taken {
                    bus.acknowledge(&delivery).await.unwrap();
                }
            }
            assert_eq!(record(&alpha).await.len(), usize::from(after));
        }
    });
}

fn a_delivery_whose_receiver_died_comes_again(on: Backend) {
    on.story(async |world| {
        let options = MailboxOptions { redeliver_after: Duration::from_millis(40), max_deliveries: 50, ..MailboxOptions::default() };
        let beta = joined(&world, "beta", options).await;
        let (_, actor) = world.actor("beta").await;
        for commit in 1..=3 {
            for after in [false, true] {
                let sent = beta.send(&id("beta"), &commit).await.unwrap().id().unwrap();
                let (store, crash) = world.mortal(commit, after).await;
                let mut mortal = bus(&store, &actor);
                let life = async {
                    mortal.join(options).await.unwrap();
                    let delivery = mortal.receive().await.unwrap();
                    mortal.acknowledge(&delivery).await.unwrap();
                };
                assert_eq!(crash.during(life).await, None);
                if (commit, after) == (3, true) {
                    assert_eq!(beta.take().await.unwrap(), None, "it was acknowledged");
                } else {
                    let again = beta.receive().await.unwrap();
                    assert_eq!(again.message.id, sent);
                    beta.acknowledge(&again).await.unwrap();
                }
            }
        }
    });
}

fn a_message_sent_while_its_recipient_is_removed_is_refused_or_in_the_dead_letters(on: Backend) {
    on.property(1..15_u64, async |world, messages| {
        let alpha = joined(&world, "alpha", MailboxOptions::default()).await;
        let _beta = joined(&world, "beta", MailboxOptions::default()).await;
        let (store, sender) = world.actor("sender").await;
        let sender = bus(&store, &sender);
        let sending = tokio::spawn(async move {
            let mut sent = Vec::new();
            for number in 0..messages {
                match sender.send(&id("beta"), &number).await {
                    Ok(done) => sent.extend(done.id()),
                    Err(error) => assert_eq!(error.code(), "no_such_member"),
                }
            }
            sent
        });
        alpha.remove(&id("beta"), "gone").await.unwrap();
        let sent = sending.await.unwrap();
        let dead: Vec<_> = alpha.dead_letters().await.unwrap().into_iter().map(|letter| letter.message.id).collect();
        assert_eq!(dead, sent);
    });
}
