// Package cli is the command line: the broker's commands, the client's commands
// and the tools, with everything that a person or a script sees of them.
//
// It is not a second client library and not a second server: the client is
// franz-go's, the broker is started through StartBroker, and what a setting
// means is config's business.
//
// # Invariants
//
//  1. stdout carries data only; everything for people goes to stderr. Nothing is
//     coloured, asked or redrawn where there is no terminal.
//  2. Exit statuses: 0 done or good, 1 could not, 2 wrong command line, 10 asked
//     and the answer is bad, 11 asked and the answer is unknown or partial.
//  3. produce exits 0 only if every input record was acknowledged, and always
//     says how many were acknowledged, refused, and neither.
//  4. With an unacked file, a record is durable in it before it is sent, and
//     leaves it only after it was acknowledged. A crash at any point leaves too
//     much in the file, never too little.
//  5. consume --group commits a record only after it was written to stdout.
//  6. Nothing is destroyed without --yes or a person's "yes"; --dry-run shows the
//     plan.
//  7. Errors say what failed, why, and what to do.
//
// # Locks
//
// producing.mu, waits.mu and ledger.mu are leaves; no wait happens under them.
//
// # File map
//
//	cli.go             Program, Run, the root command
//	streams.go         terminal, environment, signals
//	exit.go            exit statuses, errors with cause and fix
//	output.go          -O, tables, confirmation
//	client.go          -b, -X, the admin client, completion of topic names
//	profile.go         profiles: named clusters in one file
//	topic.go           topic create, list; results
//	topic_describe.go  topic describe
//	topic_traffic.go   topic describe: size, rate, weak acks
//	topic_replicas.go  topic describe: what each replica holds, what writes wait for
//	topic_change.go    topic alter, delete, trim
//	produce.go         produce: flags, client options, connecting
//	produce_run.go     produce: reading, sending, waiting, counting
//	produce_input.go   produce: bytes into records, with their places
//	produce_waits.go   produce: what is waited for
//	ledger.go          the unacked file
//	ledger_pipe_*.go   from a pipe into the unacked file, in the kernel
//	consume.go         consume
//	consume_offset.go  consume: -o
//	consume_group.go   consume: --group
//	consume_wait.go    consume: what it says while the broker is away
//	group.go           group list, describe, delete, offset-delete
//	group_lag.go       how old what a group did not consume is
//	group_seek.go      group seek
//	api.go             api
//	cluster.go         cluster info
//	cluster_health.go  cluster health
//	admin_doors.go     what the brokers' admin listeners tell
//	watch.go           --watch
//	config.go          config check, config keys
//	log.go             log check; where the segments are
//	log_dump.go        log dump
//	lock.go            who has a data directory
//	server.go          server, dev
//	dev_cluster.go     dev --brokers: several brokers in one terminal
//	dev_child_*.go     what binds their processes to dev
//	faults_*.go        links between brokers that rigs can cut, in no build that ships
//	start.go           how a broker is started
//	version.go         version
package cli
