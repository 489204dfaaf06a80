/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package protocol

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"farpoint.dev/farpoint/probes"
)

// What a probe asks a server that has let it in.
const (
	// takesNoWrites asks whether transactions may only read unless they say otherwise, by the
	// configuration of the server or the database. What was set for the probe's own user says
	// nothing about others.
	takesNoWrites = " CASE pg_catalog.current_setting('default_transaction_read_only') WHEN 'on' THEN" +
		" (SELECT source NOT IN ('user', 'database user', 'client', 'session') FROM pg_catalog.pg_settings" +
		" WHERE name = 'default_transaction_read_only') ELSE false END"
	askRole = "SELECT pg_catalog.pg_is_in_recovery()," + takesNoWrites
	// askReplication asks for what is in a replication. The view shows a row to everybody
	// while WAL is streamed, but where the primary was, latest_end_lsn, only to members of
	// pg_read_all_stats.
	askReplication = "SELECT pg_catalog.pg_is_in_recovery()," + takesNoWrites + "," +
		" extract(epoch FROM pg_catalog.clock_timestamp())," +
		" extract(epoch FROM pg_catalog.pg_last_xact_replay_timestamp())," +
		" pg_catalog.pg_wal_lsn_diff(GREATEST(pg_catalog.pg_last_wal_receive_lsn(), latest_end_lsn), '0/0')," +
		" pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_replay_lsn(), '0/0')," +
		" pid IS NOT NULL" +
		" FROM (VALUES (0)) AS always LEFT JOIN pg_catalog.pg_stat_wal_receiver ON true"
)

// examine finds out whether the server is what it must be.
func (p *postgresProber) examine(ctx context.Context, session *pgconn.PgConn, reader *postgresReader) error {
	if p.role != "" || p.maxLag != 0 {
		if err := p.checkReplication(ctx, session, reader); err != nil {
			return err
		}
	}
	if p.query != "" {
		return p.checkQuery(ctx, session, reader)
	}
	return nil
}

func (p *postgresProber) checkReplication(ctx context.Context, session *pgconn.PgConn, reader *postgresReader) error {
	question := askRole
	if p.maxLag != 0 {
		question = askReplication
	}
	results, err := session.Exec(context.WithoutCancel(ctx), question).ReadAll()
	if err != nil {
		return reader.refusal(err, probes.ReasonRoleUnknown)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return fault(probes.ReasonRoleUnknown)
	}
	state, err := readReplication(results[0].Rows[0])
	switch {
	case err != nil:
		return err
	case p.role != "" && state.replica != (p.role == RoleReplica):
		return errWrongRole
	case p.role == RolePrimary && state.readOnly:
		return fault(probes.ReasonReadOnly)
	case p.maxLag != 0 && state.replica && p.lag.observe(state) > p.maxLag:
		return fault(probes.ReasonLag)
	}
	return nil
}

// checkQuery has the query answered in a transaction that can neither write nor outlive
// the probe.
func (p *postgresProber) checkQuery(ctx context.Context, session *pgconn.PgConn, reader *postgresReader) error {
	begin := "BEGIN READ ONLY"
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline) //nolint:forbidigo // the deadline is of the same clock
		begin += fmt.Sprintf("; SET LOCAL statement_timeout = %d", max(left.Milliseconds(), 1))
	}
	ctx = context.WithoutCancel(ctx) // the connection ends with it by itself
	if _, err := session.Exec(ctx, begin).ReadAll(); err != nil {
		return reader.refusal(err, probes.ReasonQuery)
	}
	// This way, one statement and no more is taken.
	answer := session.ExecParams(ctx, p.query, nil, nil, nil, nil).Read()
	if answer.Err != nil {
		return reader.refusal(answer.Err, probes.ReasonQuery)
	}
	// A pooler may want to give the session to somebody else.
	if _, err := session.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		return reader.refusal(err, probes.ReasonQuery)
	}
	const boolean = 16 // its OID
	if len(answer.Rows) != 1 || len(answer.Rows[0]) != 1 || string(answer.Rows[0][0]) != "t" ||
		len(answer.FieldDescriptions) != 1 || answer.FieldDescriptions[0].DataTypeOID != boolean {
		return fault(probes.ReasonQuery)
	}
	return nil
}

// replication is a server's report of its part in a replication. Times are those of the
// server's clock, since 1970. Positions are those of WAL, in bytes.
type replication struct {
	replica bool
	// readOnly: it is no replica, perhaps, and takes no writes nevertheless.
	readOnly bool
	// now is 0 if it was not asked for, as is all that follows.
	now time.Duration
	// committed is when the last transaction that it has replayed was committed; 0 if it
	// has replayed none since it started.
	committed time.Duration
	// received is where the primary was when it last said so, and replayed how far of it
	// the replica has come.
	received, replayed uint64
	// streaming: it is connected to its primary.
	streaming bool
}

// readReplication reads the row that answers askRole or askReplication.
func readReplication(row [][]byte) (replication, error) {
	if len(row) != 2 && len(row) != 7 {
		return replication{}, fault(probes.ReasonRoleUnknown)
	}
	state := replication{replica: string(row[0]) == "t", readOnly: string(row[1]) == "t"}
	if len(row) == 2 || !state.replica {
		return state, nil
	}
	row = row[1:]
	var errs [4]error
	state.now, errs[0] = readSeconds(row[1])
	state.committed, errs[1] = readSeconds(row[2])
	state.received, errs[2] = readPosition(row[3])
	state.replayed, errs[3] = readPosition(row[4])
	state.streaming = string(row[5]) == "t"
	if errors.Join(errs[:]...) != nil {
		return replication{}, fault(probes.ReasonRoleUnknown)
	}
	return state, nil
}

// readSeconds reads seconds with a fraction; 0 for NULL.
func readSeconds(text []byte) (time.Duration, error) {
	if text == nil {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.Abs(seconds) > math.MaxInt64/1e9 { // false for NaN, which converts to something
		return 0, fault(probes.ReasonRoleUnknown)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// readPosition reads a position in WAL; 0 for NULL.
func readPosition(text []byte) (uint64, error) {
	if text == nil {
		return 0, nil
	}
	return strconv.ParseUint(string(text), 10, 64)
}

// replayLag follows how far a replica lags behind, from one probe to the next.
//
// What PostgreSQL tells is when the last transaction was committed that has been
// replayed. While nobody writes, that is ever longer ago, although the replica has all
// there is; and it jumps back and forth when somebody writes again. But a replica that
// has come to where it saw the primary some time ago lags behind by no more than that
// time.
type replayLag struct {
	// mark is where the primary was at the time markedAt.
	mark     uint64
	markedAt time.Duration
	// caughtUp is the latest time of which all is known to have been replayed; 0 if none
	// is.
	caughtUp time.Duration
}

// unknownLag is that of a replica that has said nothing to bound it.
const unknownLag = time.Duration(math.MaxInt64)

// observe takes a report of the replica into account and returns a bound of its lag.
func (l *replayLag) observe(state replication) time.Duration {
	if state.now < l.caughtUp || state.now < l.markedAt {
		*l = replayLag{} // its clock was set back
	}
	if l.markedAt != 0 && state.replayed >= l.mark {
		l.caughtUp = max(l.caughtUp, l.markedAt)
	}
	if state.streaming {
		if state.replayed >= state.received {
			l.caughtUp = state.now
		}
		if l.markedAt == 0 || state.replayed >= l.mark || state.received < l.mark {
			l.mark, l.markedAt = state.received, state.now
		}
	}
	lag := unknownLag
	if state.committed != 0 {
		lag = max(state.now-state.committed, 0)
	}
	if l.caughtUp != 0 {
		lag = min(lag, state.now-l.caughtUp)
	}
	return lag
}
