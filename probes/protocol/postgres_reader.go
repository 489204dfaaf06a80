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
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"farpoint.dev/farpoint/probes"
)

// maxSCRAMRounds is how often a server may have us hash the password, the default being
// 4,096. It takes us some 50 ms.
const maxSCRAMRounds = 100_000

// minSCRAMRounds is what a server that has not proved who it is must ask for at least
// (RFC 7677, 4).
const minSCRAMRounds = 4096

// maxAuthentication is how long an authentication request may be.
const maxAuthentication = 4 << 10

// postgresReader reads what a PostgreSQL server sends, and looks into its authentication
// requests before pgconn does: that would take up to ten million rounds of SCRAM for
// granted, which no deadline ends.
type postgresReader struct {
	bounded
	// failed is how the stream ended, which pgconn does not always pass on; nil before.
	failed error
	// authRequested: the server has requested authentication.
	authRequested bool
	// withholds: the server has not proved who it is, and there is a password that it may
	// only get as the table loginMethods says.
	withholds bool

	// head is what has come of the present message's type and length.
	head []byte
	// left is how much of its body is still to come.
	left int
	// request is what has come of an authentication request.
	request []byte
}

func newPostgresReader(conn io.Reader) *postgresReader {
	return &postgresReader{bounded: bounded{conn, maxDatabaseBytes}, head: make([]byte, 0, 5)}
}

// Read implements io.Reader.
func (r *postgresReader) Read(p []byte) (int, error) {
	n, err := r.bounded.Read(p)
	if refused := r.inspect(p[:n]); refused != nil {
		n, err = 0, refused
	}
	if r.failed == nil {
		r.failed = err
	}
	return n, err
}

// fault is what an error of pgconn's says about the server, or otherwise if it is neither
// the server's nor the network's.
func (r *postgresReader) fault(err error, otherwise probes.Reason) error {
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr):
		return fault(reasonOfSQLState(pgErr.Code, probes.ReasonServerError))
	case r.failed != nil:
		err = r.failed
	}
	return &probes.ReasonError{Reason: otherwise, Err: err}
}

// refusal is fault where the server has refused what it was asked for.
func (r *postgresReader) refusal(err error, reason probes.Reason) error {
	var pgErr *pgconn.PgError
	switch {
	case !errors.As(err, &pgErr):
		return r.fault(err, probes.ReasonProtocol)
	case pgErr.Code == "57014": // cancelled by statement_timeout
		return fault(probes.ReasonTimeout)
	}
	return fault(reasonOfSQLState(pgErr.Code, reason))
}

// reasonOfSQLState sorts the codes of errors
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func reasonOfSQLState(code string, otherwise probes.Reason) probes.Reason {
	switch {
	case code == "57P01", code == "57P02", code == "57P03": // shutting down, crashed, starting up
		return probes.ReasonNotAccepting
	case code == "53300":
		return probes.ReasonTooManyConnections
	case strings.HasPrefix(code, "28"):
		return probes.ReasonAuthentication
	}
	return otherwise
}

// inspect follows the messages of the stream.
func (r *postgresReader) inspect(stream []byte) error {
	for len(stream) > 0 {
		if len(r.head) < 5 {
			n := min(5-len(r.head), len(stream))
			r.head, stream = append(r.head, stream[:n]...), stream[n:]
			if len(r.head) < 5 {
				return nil
			}
			// The length counts itself. What is wrong with it is for pgconn to say.
			r.left = max(int(binary.BigEndian.Uint32(r.head[1:]))-4, 0)
		}
		n := min(r.left, len(stream))
		if r.head[0] == 'R' {
			r.request = append(r.request, stream[:min(n, maxAuthentication-len(r.request))]...)
		}
		r.left, stream = r.left-n, stream[n:]
		if r.left > 0 {
			return nil
		}
		if r.head[0] == 'R' {
			if err := r.evaluate(); err != nil {
				return err
			}
		}
		r.head, r.request = r.head[:0], r.request[:0]
	}
	return nil
}

// postgresMethods are the requests for a password that pgconn has an answer to.
var postgresMethods = map[uint32]probes.LoginMethod{
	3:  probes.LoginPostgresPassword,
	5:  probes.LoginPostgresMD5,
	10: probes.LoginPostgresSCRAM,
}

// evaluate looks at a whole authentication request.
func (r *postgresReader) evaluate() error {
	const ok, saslContinue = 0, 11
	if len(r.request) < 4 {
		return nil
	}
	kind, body := binary.BigEndian.Uint32(r.request), r.request[4:]
	r.authRequested = r.authRequested || kind != ok
	if method, ok := postgresMethods[kind]; ok && r.withholds && !method.MaySend(false, false) {
		return &credentialsWithheld{method}
	}
	if kind != saslContinue {
		return nil
	}
	// RFC 5802, 7: the iteration count comes last.
	_, rounds, _ := bytes.Cut(body, []byte(",i="))
	rounds, _, _ = bytes.Cut(rounds, []byte(","))
	count, err := strconv.Atoi(string(rounds))
	switch {
	case err != nil || count > maxSCRAMRounds:
		return fault(probes.ReasonProtocol)
	case r.withholds && count < minSCRAMRounds:
		return &credentialsWithheld{probes.LoginPostgresWeakSCRAM}
	}
	return nil
}
