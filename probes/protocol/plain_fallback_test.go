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
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/test/servers"
)

// MySQL 5.7 knows nothing newer than TLS 1.1 in many builds, and many appliances neither.
// With the defaults they are probed without TLS, as the usual clients do it.
func TestPreferredTLS_MySQLHasOldTLSOnly_ProbesInPlain(t *testing.T) {
	t.Parallel() // it waits for a server
	pair := inPEM(t, probetest.NewAuthority(t).Issue(t))
	server := servers.NewMariaDB(t, "--tls-version=TLSv1.1", "--log-warnings=9", "--max-connect-errors=3").WithTLS(pair, "")
	server.Start()
	server.Exec("CREATE USER probe IDENTIFIED BY 'hunter2'; CREATE USER encrypted IDENTIFIED BY 'hunter2' REQUIRE SSL")
	for query, want := range map[string]probes.Result{
		"":                             probes.SuccessResult(),
		" sslMode=Prefer":              probes.SuccessResult(),
		" sslMode=Prefer role=Primary": probes.SuccessResult(),
		" role=Replica":                probes.IneligibleResult(probes.ReasonRole),
		" sslMode=Require":             probes.FailureResult(probes.ReasonTLSHandshake),
		" sslMode=VerifyFull":          probes.FailureResult(probes.ReasonTLSHandshake),
	} {
		if got := result(t, mysqlAt(server, query), probetest.Ample); got != want {
			t.Errorf("%s: got %+v, want %+v", query, got, want)
		}
	}
	if got := result(t, at(server.Address(), "mysql://"), probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("without a user: got %+v", got)
	}
	if got, want := result(t, loginAt(server.Address(), "mysql://", "encrypted", "hunter2"), probetest.Ample), probes.FailureResult(probes.ReasonAuthentication); got != want {
		t.Errorf("a user who needs TLS: got %+v, want %+v", got, want)
	}
	prober := prepare(t, mysqlAt(server, ""))
	for range 10 { // more than --max-connect-errors
		if got := probeOnce(t, prober, probetest.Ample); got != probes.SuccessResult() {
			t.Fatalf("got %+v", got)
		}
	}
}

func TestPreferredTLS_PostgresHasOldTLSOnly_ProbesInPlain(t *testing.T) {
	t.Parallel() // it waits for a server
	pair := inPEM(t, probetest.NewAuthority(t).Issue(t))
	server := servers.NewPostgres(t, "ssl_min_protocol_version = 'TLSv1'", "ssl_max_protocol_version = 'TLSv1.1'", "hostssl all encrypted 127.0.0.1/32 trust",
		"host all encrypted 127.0.0.1/32 reject").WithTLS(pair, "")
	server.Start()
	server.Exec("CREATE ROLE probe LOGIN PASSWORD 'hunter2'; CREATE ROLE encrypted LOGIN")
	for query, want := range map[string]probes.Result{
		"":                             probes.SuccessResult(),
		" sslMode=Prefer":              probes.SuccessResult(),
		" sslMode=Prefer role=Primary": probes.SuccessResult(),
		" role=Replica":                probes.IneligibleResult(probes.ReasonRole),
		" sslMode=Require":             probes.FailureResult(probes.ReasonTLSHandshake),
		" sslMode=VerifyFull":          probes.FailureResult(probes.ReasonTLSHandshake),
	} {
		if got := result(t, postgresAt(server, query), probetest.Ample); got != want {
			t.Errorf("%s: got %+v, want %+v", query, got, want)
		}
	}
	if got := result(t, at(server.Address(), "postgres://"), probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("without a user: got %+v", got)
	}
	if got, want := result(t, at(server.Address(), "postgres://encrypted@/postgres"), probetest.Ample), probes.FailureResult(probes.ReasonAuthentication); got != want {
		t.Errorf("a user who needs TLS: got %+v, want %+v", got, want)
	}
	refusals := func() int { return strings.Count(server.Log(), "could not accept SSL connection") }
	prober, before := prepare(t, postgresAt(server, "")), refusals()
	for range 10 {
		if got := probeOnce(t, prober, probetest.Ample); got != probes.SuccessResult() {
			t.Fatalf("got %+v", got)
		}
	}
	if tried := refusals() - before; tried != 1 {
		t.Errorf("TLS was tried %d times in 10 probes, each an error in the server's log", tried)
	}
}

// A handshake may fail in other ways than by an alert.
func TestPreferredTLS_ServerBreaksHandshakeOff_ProbesInPlain(t *testing.T) {
	welcome := authentication(0, "") + postgresMessage('Z', "I")
	for name, broken := range map[string]func(net.Conn){
		"hangs up":        func(net.Conn) {},
		"resets":          probetest.Aborting(probetest.Silence),
		"speaks no TLS":   func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") },
		"alerts":          func(conn net.Conn) { _, _ = io.WriteString(conn, "\x15\x03\x01\x00\x02\x02\x28") },
		"has no versions": func(conn net.Conn) { _, _ = io.WriteString(conn, "\x15\x03\x01\x00\x02\x02\x46") },
	} {
		t.Run(name, func(t *testing.T) {
			var plaintext atomic.Int32
			endpoint := probetest.Serve(t, probetest.Closing(func(conn net.Conn) {
				var request [8]byte
				if _, err := io.ReadFull(conn, request[:]); err != nil {
					return
				}
				if isSSLRequest := request[4] == 0x04; isSSLRequest {
					_, _ = io.WriteString(conn, "S")
					_, _ = conn.Read(make([]byte, 4096))
					broken(conn)
					return
				}
				plaintext.Add(1)
				_, _ = conn.Read(make([]byte, 4096))
				_, _ = io.WriteString(conn, welcome)
			}))
			if got := probeOnce(t, prepare(t, at(endpoint, "postgres://probe@/app")), probetest.Ample); got != probes.SuccessResult() {
				t.Errorf("got %+v", got)
			}
			if got := probeOnce(t, prepare(t, at(endpoint, "postgres://probe@/app sslMode=Require")), probetest.Ample); got.Outcome != probes.Failure {
				t.Errorf("TLS is required: got %+v", got)
			}
			if plaintext.Load() != 1 {
				t.Errorf("%d probes without TLS", plaintext.Load())
			}
		})
	}
}

// A server that says nothing is silent, and is not asked a second time.
func TestPreferredTLS_ServerIsSilent_TimesOut(t *testing.T) {
	endpoint := probetest.Serve(t, func(conn net.Conn) {
		_, _ = io.ReadFull(conn, make([]byte, 8))
		_, _ = io.WriteString(conn, "S")
	})
	if got := probeOnce(t, prepare(t, at(endpoint, "postgres://probe@/app")), probetest.Brief); got != probes.FailureResult(probes.ReasonTimeout) {
		t.Errorf("got %+v", got)
	}
}

func TestPlainFallback_TriesTLSAgain(t *testing.T) {
	handshake, refused, closed := fault(probes.ReasonTLSHandshake), fault(probes.ReasonAuthentication), errors.New("closed")
	for _, test := range []struct {
		name string
		// answers are those to the connections of the probes, in turn.
		answers []error
		// want says for each connection whether it is encrypted: T, or plain: P. A blank ends a
		// probe.
		probes int
		want   string
	}{
		{"TLS works", []error{nil, nil}, 2, "T T "},
		{"TLS never works", append([]error{handshake}, make([]error, 21)...), 21, "TP " + strings.Repeat("P ", 20)},
		{"is tried again finally", append(append([]error{handshake}, make([]error, 21)...), nil), 22, "TP " + strings.Repeat("P ", 20) + "T "},
		{"is needed after all", []error{handshake, nil, refused, nil, nil}, 3, "TP PT T "},
		{"is of no use either", []error{handshake, nil, refused, refused}, 2, "TP PT "},
		{"server is gone", []error{handshake, nil, closed, nil}, 3, "TP P P "},
	} {
		t.Run(test.name, func(t *testing.T) {
			var fallback plainFallback
			tried := ""
			for range test.probes {
				_ = fallback.run(context.Background(), func(encrypt bool) error {
					tried += map[bool]string{true: "T", false: "P"}[encrypt]
					answer := test.answers[0]
					test.answers = test.answers[1:]
					return answer
				})
				tried += " "
			}
			if tried != test.want {
				t.Errorf("got %q, want %q", tried, test.want)
			}
		})
	}
}
