// Package restart measures how long a broker takes from its start after kill -9
// until it serves, with many partitions and with a long log, and demands that
// the time is short and does not grow with the log.
package restart
