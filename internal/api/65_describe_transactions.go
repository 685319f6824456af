package api

// DescribeTransactions, key 65, version 0 (KIP-664).
//
// Behaviours: no transaction is coordinated here: NOT_COORDINATOR, as from a
// Kafka that never had one.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) describeTransactions(r *Request) (*Reply, Pending) {
	q := wire.NewDescribeTransactionsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewDescribeTransactionsResponse()
	for _, id := range q.TransactionalIDs {
		w := wire.NewDescribeTransactionsResponseTransactionState()
		w.TransactionalID = id
		if w.ErrorCode = int16(kafka.ErrNotCoordinator); id == "" {
			w.ErrorCode = int16(kafka.ErrInvalidRequest)
		}
		out.TransactionStates = append(out.TransactionStates, w)
	}
	return respond(r, &out), nil
}
