// Package accident shows, with three real brokers, the accident by which other
// systems lose acknowledged records, and that it cannot happen here unless somebody
// asks for it.
//
// The classic one: a leader acknowledges, dies before a follower has the record,
// the follower takes over, and the record is gone. TestAccident makes it happen on
// a topic with acks.policy=allow, shows who knew what at each step, and repeats it
// on a topic with the defaults, where it does not. The other tests do worse: pauses,
// cut links, everybody killed, directories that were wiped or come from a backup,
// and judge each by the history of its writers and readers.
//
// A follower that is stopped still has a fetch parked at the leader, and the answer
// to it would wait in the kernel until the follower goes on: it would save the
// record. So the follower is stopped first, and nothing is written before the
// leader holds no fetch.
package accident
