// Package controller decides on the cluster's metadata: a command and the image
// go in, records and a reply come out. Whoever runs it appends the records to the
// metadata log and gives the reply when they are applied.
//
// What it is not: it changes nothing and keeps nothing (meta.Apply is the only
// way in which metadata changes), waits for nothing and speaks no wire format;
// api translates. It is pure: time, identities and settings are inputs.
//
// # Invariants
//
//  1. Decide reads the image and never changes it.
//  2. The records of a decision apply to the image that it was made on.
//  3. A refused item of a command leaves no record; the others do not suffer.
//  4. A min ISR above the replication factor is refused when a topic is made and
//     when a setting is changed over the wire; a derived one is RF/2+1 of the
//     target replication factor. A static default that a node is started with is
//     taken literally, also where it makes a topic unwritable: nothing else of
//     what the operator wrote can be meant.
//  5. LowestMinISR is the smallest min ISR in force since the ISR last held every
//     replica.
//  6. A leadership that may have recovered its log is a new leadership: the
//     registration of another incarnation raises the leader epoch of what the
//     broker leads, or somebody else leads.
//  7. A replica whose directory is gone, or that has reported lost records, is
//     marked lost, leaves ISR and ELR in the same record, and counts as empty
//     until it is in the ISR again.
//  8. Producer id blocks do not overlap, and none is handed out twice.
//  9. What is decided can be read back: every text and count is below the bounds
//     of the format.
//  10. A broker whose start counter does not grow with its directory is a copy of
//     another one and is refused.
//  11. Only members of the ISR lead; where none of them is live, one of the ELR
//     (KIP-966). Beyond that only a recovery election, in which as many replicas
//     report as must include one with every acknowledged record, or an operator.
//  12. Nobody is admitted to an ISR who is fenced or shutting down, or whose
//     incarnation is not the one that the leader has seen; who becomes so leaves
//     it, unless he is the last one there.
//  13. A reassignment is done when its whole target is in the ISR; min ISR moves
//     in the same record.
//  14. What an older program could not read is written only from the feature
//     level on that every registered broker knows.
//
// # File map
//
//	command.go           commands on topics and settings; replies
//	command_broker.go    commands on brokers
//	command_partition.go commands on the replicas of partitions
//	decide.go            Decide, inputs, what several decisions share
//	topic_name.go        which names a topic may have
//	create_topics.go     CreateTopics
//	delete_topics.go     DeleteTopics
//	create_partitions.go CreatePartitions
//	placement.go         which brokers get a partition
//	alter_configs.go     AlterConfigs
//	min_isr.go           what a change of min ISR means for partitions
//	transition.go        one partition on its way to its next state: elections, ELR
//	register_broker.go   RegisterBroker
//	heartbeat.go         Heartbeat, FenceBroker, UnregisterBroker, ReportLost
//	alter_isr.go         AlterISR
//	elect_leaders.go     ElectLeaders, BalanceLeaders
//	reassign.go          Alter- and CancelReassignments, EnsureReplication
//	recovery.go          RecoverPartitions, ForceRecovery
//	producer_ids.go      AllocateProducerIDs
//	errors.go            refusals
//
// KIPs: 500 and 631 (the controller as a log-driven machine), 516 (topic ids),
// 599 (limits), 195 (CreatePartitions), 339 (incremental configs), 730 (producer
// id blocks), 966 (min ISR and ELR), 858 (directories), 497, 841 and 903 (ISR
// changes), 455 and 860 (reassignments), 460 (elections), 778 (feature levels).
package controller
