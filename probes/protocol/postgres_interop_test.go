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
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
)

func TestPostgresProbe_ServerOfAnotherProtocol_Fails(t *testing.T) {
	for _, query := range []string{"", " sslMode=Disable", " sslMode=Require", " role=Primary sslMode=Disable"} {
		t.Run(query, func(t *testing.T) { testOtherProtocols(t, "postgres:///app"+query) })
	}
}

// postgresMessage is one of the protocol's, as a server sends them.
func postgresMessage(kind byte, body string) string {
	return string(kind) + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))) + body
}

// authentication is a message that asks for, or ends, an authentication.
func authentication(kind uint32, body string) string {
	return postgresMessage('R', string(binary.BigEndian.AppendUint32(nil, kind))+body)
}

// postgresWelcome ends a login.
var postgresWelcome = authentication(0, "") + postgresMessage('S', "server_version\x0015\x00") + postgresMessage('K', "\x00\x00\x00\x01\x00\x00\x00\x02") + postgresMessage('Z', "I")

// postgresError is a message that refuses the connection.
func postgresError(code string) string {
	return postgresMessage('E', "SFATAL\x00VFATAL\x00C"+code+"\x00Ms3cret\x00\x00")
}

// postgresRow is the result of a query.
func postgresRow(values ...string) string {
	columns, data := "", ""
	for _, value := range values {
		columns += "c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff\x00\x00"
		data += string(binary.BigEndian.AppendUint32(nil, uint32(len(value)))) + value
	}
	count := string([]byte{0, byte(len(values))})
	return postgresMessage('T', count+columns) + postgresMessage('D', count+data) + postgresMessage('C', "SELECT 1\x00") + postgresMessage('Z', "I")
}

type postgresCase struct {
	name, query, sent string
	// login and nobody are the results with a user and without one.
	login, nobody probes.Result
}

func checkPostgres(t *testing.T, cases []postgresCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			endpoint := probetest.Serve(t, probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, test.sent) }))
			start := time.Now()
			if got := result(t, loginAt(endpoint, "postgres:///app"+" sslMode=Disable"+test.query, "probe", "hunter2"), probetest.Ample); got != test.login {
				t.Errorf("got %+v, want %+v", got, test.login)
			}
			if got := result(t, at(endpoint, "postgres:///app sslMode=Disable"), probetest.Ample); got != test.nobody {
				t.Errorf("without a user: got %+v, want %+v", got, test.nobody)
			}
			if took := time.Since(start); took > probetest.Ample/4 {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestPostgresLogin_MessagesOfTheServer_DecideTheResult(t *testing.T) {
	checkPostgres(t, []postgresCase{
		{"well", "", postgresWelcome, probes.SuccessResult(), probes.SuccessResult()},
		{"notices first", "", strings.Repeat(postgresMessage('N', "SNOTICE\x00C00000\x00Mx\x00\x00"), 3) + postgresWelcome, probes.SuccessResult(), probes.SuccessResult()},
		{"shuts down", "", postgresError("57P01"), probes.FailureResult(probes.ReasonNotAccepting), probes.FailureResult(probes.ReasonNotAccepting)},
		{"starts up", "", postgresError("57P03"), probes.FailureResult(probes.ReasonNotAccepting), probes.FailureResult(probes.ReasonNotAccepting)},
		{"is full", "", postgresError("53300"), probes.FailureResult(probes.ReasonTooManyConnections), probes.FailureResult(probes.ReasonTooManyConnections)},
		{"knows nobody", "", postgresError("28000"), probes.FailureResult(probes.ReasonAuthentication), probes.SuccessResult()},
		{"has another error", "", postgresError("08P01"), probes.FailureResult(probes.ReasonServerError), probes.SuccessResult()},
		{"wants Kerberos", "", authentication(2, ""), probes.FailureResult(probes.ReasonAuthentication), probes.FailureResult(probes.ReasonProtocol)},
		{"wants GSS", "", authentication(7, ""), probes.FailureResult(probes.ReasonAuthentication), probes.SuccessResult()},
		{"wants an unknown mechanism", "", authentication(10, "NONE\x00\x00"), probes.FailureResult(probes.ReasonAuthentication), probes.SuccessResult()},
		{"wants endless hashing", "", authentication(10, "SCRAM-SHA-256\x00\x00") + authentication(11, "r=x,s=QUJD,i=9999999"), probes.FailureResult(probes.ReasonAuthentication), probes.FailureResult(probes.ReasonProtocol)},
		{"goes on without a login", "", postgresMessage('Z', "I"), probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"sends data", "", postgresMessage('D', "\x00\x00"), probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"impossible length", "", "R\x00\x00\x00\x00", probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"huge length", "", "R\x3f\xff\xff\xff", probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"endless parameters", "", authentication(0, "") + strings.Repeat(postgresMessage('S', "a\x00b\x00"), 10000), probes.FailureResult(probes.ReasonProtocol), probes.SuccessResult()},
		{"endless notices", "", strings.Repeat(postgresMessage('N', "SNOTICE\x00C00000\x00Mx\x00\x00"), 10000), probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
	})
}

func TestPostgresRole_RowsOfTheServer_DecideTheResult(t *testing.T) {
	checkPostgres(t, []postgresCase{
		{"role", " role=Replica", postgresWelcome + postgresRow("t", "f"), probes.SuccessResult(), probes.SuccessResult()},
		{"another role", " role=Primary", postgresWelcome + postgresRow("t", "f"), probes.IneligibleResult(probes.ReasonRole), probes.SuccessResult()},
		{"primary", " role=Primary", postgresWelcome + postgresRow("f", "f"), probes.SuccessResult(), probes.SuccessResult()},
		{"primary that takes no writes", " role=Primary", postgresWelcome + postgresRow("f", "t"), probes.FailureResult(probes.ReasonReadOnly), probes.SuccessResult()},
		{"no role", " role=Primary", postgresWelcome + postgresMessage('E', "SERROR\x00C42883\x00Mno such function\x00\x00") + postgresMessage('Z', "I"), probes.FailureResult(probes.ReasonRoleUnknown), probes.SuccessResult()},
		{"no row", " role=Primary", postgresWelcome + postgresMessage('C', "SELECT 0\x00") + postgresMessage('Z', "I"), probes.FailureResult(probes.ReasonRoleUnknown), probes.SuccessResult()},
		{"lag", " maxLag=10s", postgresWelcome + postgresRow("t", "f", "100.5", "95.25", "1", "0", "f"), probes.SuccessResult(), probes.SuccessResult()},
		{"too much lag", " maxLag=5s", postgresWelcome + postgresRow("t", "f", "100.5", "95.25", "1", "0", "f"), probes.FailureResult(probes.ReasonLag), probes.SuccessResult()},
		{"lag in words", " maxLag=5s", postgresWelcome + postgresRow("t", "f", "NaN", "yesterday", "1", "0", "f"), probes.FailureResult(probes.ReasonRoleUnknown), probes.SuccessResult()},
		{"half of an answer", " maxLag=5s", postgresWelcome + postgresRow("t", "f", "100"), probes.FailureResult(probes.ReasonRoleUnknown), probes.SuccessResult()},
		{"no answer", " role=Primary", postgresWelcome, probes.FailureResult(probes.ReasonConnectionClosed), probes.SuccessResult()},
	})
}

// FuzzPostgresReader: in whatever pieces it comes, the same is found in what a server
// sends.
func FuzzPostgresReader(f *testing.F) {
	f.Add(authentication(10, "SCRAM-SHA-256\x00\x00")+authentication(11, "r=x,s=QUJD,i=4096")+authentication(0, ""), byte(3))
	f.Add(authentication(11, "r=x,s=QUJD,i=100001"), byte(7))
	f.Add("R\xff\xff\xff\xff", byte(1))
	f.Fuzz(func(t *testing.T, sent string, piece byte) {
		whole, pieces := newPostgresReader(nil), newPostgresReader(nil)
		want := whole.inspect([]byte(sent)) != nil
		got := false
		for rest := []byte(sent); len(rest) > 0 && !got; {
			n := min(int(piece)+1, len(rest))
			got = pieces.inspect(rest[:n]) != nil
			rest = rest[n:]
		}
		if got != want || !want && whole.authRequested != pieces.authRequested {
			t.Errorf("refused %v, in pieces %v; asked %v, in pieces %v", want, got, whole.authRequested, pieces.authRequested)
		}
		if len(whole.request) > maxAuthentication {
			t.Errorf("kept %d bytes", len(whole.request))
		}
	})
}

func TestReplayLag(t *testing.T) {
	const never = unknownLag
	// Each step is one probe: the replica's report, and the bound of its lag.
	type step struct {
		state replication
		want  time.Duration
	}
	streaming := func(now, committed time.Duration, received, replayed uint64) replication {
		return replication{replica: true, now: now * time.Second, committed: committed * time.Second, received: received, replayed: replayed, streaming: true}
	}
	alone := func(now, committed time.Duration, received, replayed uint64) replication {
		state := streaming(now, committed, received, replayed)
		state.streaming = false
		return state
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"idle for long", []step{{streaming(1000, 100, 50, 50), 0}, {streaming(2000, 100, 50, 50), 0}}},
		{"nothing replayed since it started", []step{{streaming(1000, 0, 50, 50), 0}}},
		{"asked from the start of a segment", []step{{streaming(1000, 0, 0, 50), 0}}},
		{"replays slowly", []step{{streaming(1000, 990, 60, 50), 10 * time.Second}, {streaming(1010, 990, 70, 50), 20 * time.Second}}},
		{"busy after an idle time", []step{
			{streaming(1000, 100, 50, 50), 0},
			{streaming(1010, 100, 70, 60), 10 * time.Second}, // its last commit is 910 s ago
			{streaming(1020, 100, 90, 80), 10 * time.Second}, // it has passed 70, received by 1010
			{streaming(1030, 100, 99, 85), 20 * time.Second}, // it has not passed 90 yet
			{streaming(1040, 1039, 110, 100), time.Second},
		}},
		{"cut off when it had all", []step{{streaming(1000, 100, 50, 50), 0}, {alone(1005, 100, 50, 50), 5 * time.Second}, {alone(1100, 100, 50, 50), 100 * time.Second}}},
		{"found cut off", []step{{alone(1000, 100, 50, 50), 900 * time.Second}}},
		{"found cut off, and nothing known", []step{{alone(1000, 0, 50, 50), never}}},
		{"from an archive", []step{{alone(1000, 980, 0, 50), 20 * time.Second}}},
		{"another server takes its place", []step{{streaming(1000, 100, 50, 50), 0}, {streaming(1010, 500, 20, 10), 10 * time.Second}, {streaming(1020, 500, 20, 20), 0}}},
		{"its clock is set back", []step{{streaming(1000, 100, 50, 50), 0}, {alone(900, 890, 50, 50), 10 * time.Second}}},
		{"its clock is behind the primary's", []step{{alone(1000, 1001, 50, 50), 0}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var lag replayLag
			for i, step := range test.steps {
				if got := lag.observe(step.state); got != step.want {
					t.Errorf("probe %d: got %v, want %v", i, got, step.want)
				}
			}
		})
	}
}

// recited is a connection on which the peer sends all of this, whatever it receives.
type recited struct {
	net.Conn
	io.Reader
}

func (s recited) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s recited) Write(p []byte) (int, error) { return len(p), nil }
func (s recited) Close() error                { return nil }
func (s recited) SetDeadline(time.Time) error { return nil }
func (s recited) RemoteAddr() net.Addr        { return &net.TCPAddr{} }

// FuzzPostgresServer: nothing that a server says makes a probe panic.
func FuzzPostgresServer(f *testing.F) {
	welcome := authentication(0, "") + postgresMessage('S', "server_version\x0015\x00") + postgresMessage('Z', "I")
	f.Add(welcome + postgresMessage('T', "\x00\x01c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\xff\xff\xff\xff\xff\xff\x00\x00") +
		postgresMessage('D', "\x00\x01\x00\x00\x00\x01t") + postgresMessage('C', "SELECT 1\x00") + postgresMessage('Z', "I") +
		postgresMessage('C', "BEGIN\x00") + postgresMessage('C', "SET\x00") + postgresMessage('Z', "T") +
		postgresMessage('1', "") + postgresMessage('2', "") + postgresMessage('n', "") + postgresMessage('C', "SELECT 1\x00") + postgresMessage('Z', "T"))
	f.Add(authentication(5, "salt") + authentication(10, "SCRAM-SHA-256\x00\x00") + authentication(11, "r=x,s=QUJD,i=4096"))
	f.Add(postgresMessage('E', "SFATAL\x00C28000\x00\x00"))
	asks := prepare(f, Definition{URL: "postgres://probe@192.0.2.10/app maxLag=1s query=SELECT true"}).(*postgresProber)
	knocks := prepare(f, Definition{URL: "postgres://192.0.2.10/app"}).(*postgresProber)
	f.Fuzz(func(t *testing.T, sent string) {
		_ = asks.loginAndCheck(t.Context(), recited{Reader: strings.NewReader(sent)}, false)
		_ = knocks.checkAccepting(recited{Reader: strings.NewReader(sent)})
	})
}
