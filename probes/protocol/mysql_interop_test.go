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
	"net/netip"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
)

func TestMySQLProbe_ServerOfAnotherProtocol_Fails(t *testing.T) {
	for _, query := range []string{"", " sslMode=Disable", " sslMode=Require", " role=Primary"} {
		t.Run(query, func(t *testing.T) { testOtherProtocols(t, "mysql:///app"+query) })
	}
}

// mysqlPacket is one of the protocol's.
func mysqlPacket(sequence byte, content string) string {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(content)))
	head[3] = sequence
	return string(head) + content
}

// mysqlGreeting is the first packet of servers.
func mysqlGreeting(version, plugin string, capabilities uint32, scramble string) string {
	low := binary.LittleEndian.AppendUint32(nil, capabilities)
	return mysqlPacket(0, "\x0a"+version+"\x00"+"\x01\x00\x00\x00"+scramble[:8]+"\x00"+string(low[:2])+"\x2d\x02\x00"+string(low[2:])+
		string([]byte{byte(len(scramble) + 1)})+strings.Repeat("\x00", 10)+scramble[8:]+"\x00"+plugin+"\x00")
}

const (
	mysqlScramble = "abcdefghijklmnopqrst"
	mysqlCapable  = mysqlLongPassword | mysqlConnectWithDB | mysqlProtocol41 | mysqlTransactions | mysqlSecureConnection | mysqlPluginAuth | mysqlConnectAttrs | mysqlLongAuthData
)

const mysqlOKBody = "\x00\x00\x00\x02\x00\x00\x00"

// mysqlErrorPacket is the packet of an error.
func mysqlErrorPacket(sequence byte, code uint16) string {
	return mysqlPacket(sequence, "\xff"+string(binary.LittleEndian.AppendUint16(nil, code))+"#HY000s3cret")
}

// What a server sends to clients that log in, and to their questions.
var (
	mysqlHello   = mysqlGreeting("8.4.0", "mysql_native_password", mysqlCapable, mysqlScramble)
	mariaHello   = mysqlGreeting("5.5.5-10.11.6-MariaDB", "mysql_native_password", mysqlCapable, mysqlScramble)
	mysqlWelcome = mysqlPacket(2, mysqlOKBody) + mysqlPacket(1, mysqlOKBody) // to the login and to the ping
	mysqlReplica = mysqlShowResult("read_only", "ON") + mysqlResultSet([]string{"t"}, "\x0a1000.00000")
	mysqlPrimary = mysqlWelcome + mysqlShowResult("read_only", "OFF")
)

// mysqlColumn describes a column.
func mysqlColumn(name string) string {
	return "\x03def\x00\x00\x00" + string(rune(len(name))) + name + "\x00"
}

// mysqlResultSet is the result of a query.
func mysqlResultSet(columns []string, rows ...string) string {
	text, sequence := mysqlPacket(1, string(rune(len(columns)))), byte(2)
	add := func(content string) { text += mysqlPacket(sequence, content); sequence++ }
	for _, name := range columns {
		add(mysqlColumn(name))
	}
	add("\xfe\x00\x00\x02\x00")
	for _, row := range rows {
		add(row)
	}
	add("\xfe\x00\x00\x02\x00")
	return text
}

// mysqlShowResult answers a SHOW statement, by names and values in turn.
func mysqlShowResult(settings ...string) string {
	var rows []string
	for i := 0; i < len(settings); i += 2 {
		rows = append(rows, string(appendLengthAnd(appendLengthAnd(nil, settings[i]), settings[i+1])))
	}
	return mysqlResultSet([]string{"Variable_name", "Value"}, rows...)
}

type mysqlCase struct {
	name, query, sent string
	// login and nobody are the results with a user and without one.
	login, nobody probes.Result
}

func checkMySQL(t *testing.T, cases []mysqlCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			endpoint := probetest.Serve(t, probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, test.sent) }))
			prober := prepare(t, loginAt(endpoint, "mysql:///app"+" sslMode=Disable"+test.query, "probe", "hunter2"))
			var got probes.Result
			if allocated := allocatedBy(func() { got = probeOnce(t, prober, probetest.Ample) }); allocated > 1<<20 {
				t.Errorf("took %d bytes of memory", allocated)
			}
			if got != test.login {
				t.Errorf("got %+v, want %+v", got, test.login)
			}
			if got := result(t, at(endpoint, "mysql:///app sslMode=Disable"), probetest.Ample); got != test.nobody {
				t.Errorf("without a user: got %+v, want %+v", got, test.nobody)
			}
		})
	}
}

func TestMySQLLogin_PacketsOfTheServer_DecideTheResult(t *testing.T) {
	checkMySQL(t, []mysqlCase{
		{"well", "", mysqlHello + mysqlPrimary, probes.SuccessResult(), probes.SuccessResult()},
		{"has no variables", "", mysqlHello + mysqlWelcome + mysqlShowResult(), probes.SuccessResult(), probes.SuccessResult()},
		{"knows no SHOW", "", mysqlHello + mysqlWelcome + mysqlErrorPacket(1, 1064), probes.SuccessResult(), probes.SuccessResult()},
		{"says that all is well, whatever it is asked", "", mysqlHello + mysqlWelcome + mysqlPacket(1, mysqlOKBody), probes.SuccessResult(), probes.SuccessResult()},
		{"lets the user ask nothing", "", mysqlHello + mysqlWelcome + mysqlErrorPacket(1, 1820), probes.SuccessResult(), probes.SuccessResult()},
		{"refuses queries", "", mysqlHello + mysqlWelcome + mysqlErrorPacket(1, 1047), probes.FailureResult(probes.ReasonNotAccepting), probes.SuccessResult()},
		{"is offline", "", mysqlHello + mysqlWelcome + mysqlShowResult("offline_mode", "ON"), probes.FailureResult(probes.ReasonNotAccepting), probes.SuccessResult()},
		{"is in a cluster", "", mysqlHello + mysqlWelcome + mysqlShowResult("wsrep_on", "ON", "wsrep_reject_queries", "NONE") + mysqlShowResult("wsrep_ready", "ON"), probes.SuccessResult(), probes.SuccessResult()},
		{"is in no cluster", "", mysqlHello + mysqlWelcome + mysqlShowResult("wsrep_on", "ON") + mysqlShowResult("wsrep_ready", "OFF"), probes.FailureResult(probes.ReasonNotAccepting), probes.SuccessResult()},
		{"rejects queries", "", mysqlHello + mysqlWelcome + mysqlShowResult("wsrep_on", "ON", "wsrep_reject_queries", "ALL"), probes.FailureResult(probes.ReasonNotAccepting), probes.SuccessResult()},
		{"is full", "", mysqlErrorPacket(0, 1040), probes.FailureResult(probes.ReasonTooManyConnections), probes.FailureResult(probes.ReasonTooManyConnections)},
		{"does not know this host", "", mysqlErrorPacket(0, 1130), probes.FailureResult(probes.ReasonAuthentication), probes.SuccessResult()},
		{"has blocked this host", "", mysqlErrorPacket(0, 1129), probes.FailureResult(probes.ReasonAuthentication), probes.SuccessResult()},
		{"knows nobody", "", mysqlHello + mysqlErrorPacket(2, 1045), probes.FailureResult(probes.ReasonAuthentication), probes.SuccessResult()},
		{"has another error", "", mysqlHello + mysqlErrorPacket(2, 1049), probes.FailureResult(probes.ReasonServerError), probes.SuccessResult()},
		{"shuts down", "", mysqlHello + mysqlErrorPacket(2, 1053), probes.FailureResult(probes.ReasonNotAccepting), probes.FailureResult(probes.ReasonNotAccepting)},
		{"has no cluster", "", mysqlHello + mysqlPacket(2, mysqlOKBody) + mysqlErrorPacket(1, 1047), probes.FailureResult(probes.ReasonNotAccepting), probes.FailureResult(probes.ReasonNotAccepting)},
		{"error out of turn", "", mysqlHello + mysqlErrorPacket(7, 1045), probes.FailureResult(probes.ReasonAuthentication), probes.SuccessResult()},
		{"answer out of turn", "", mysqlHello + mysqlPacket(3, mysqlOKBody), probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"old protocol", "", mysqlPacket(0, "\x093.23.49\x00\x01\x00\x00\x00abcdefgh\x00"), probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"old capabilities", "", mysqlGreeting("4.0", "", mysqlLongPassword, mysqlScramble), probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"half a greeting", "", mysqlPacket(0, "\x0a8.4.0\x00\x01\x00"), probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"short scramble", "", mysqlGreeting("8.4.0", "caching_sha2_password", mysqlCapable, mysqlScramble)[:70], probes.FailureResult(probes.ReasonConnectionClosed), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"switches to a short scramble", "", mysqlHello + mysqlPacket(2, "\xfecaching_sha2_password\x00abc\x00"), probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonConnectionClosed)},
		{"switches to something unknown", "", mysqlHello + mysqlPacket(2, "\xfeauth_gssapi_client\x00x\x00"), probes.FailureResult(probes.ReasonAuthentication), probes.SuccessResult()},
		{"switches to plain text without TLS", "", mysqlHello + mysqlPacket(2, "\xfemysql_clear_password\x00") + mysqlErrorPacket(4, 1045), withheldBy(probes.LoginMySQLClear), probes.SuccessResult()},
		{"switches to the oldest method", "", mysqlHello + mysqlPacket(2, "\xfe"), probes.FailureResult(probes.ReasonAuthentication), probes.SuccessResult()},
		{"switches for ever", "", mysqlHello + mysqlPacket(2, "\xfemysql_native_password\x00"+mysqlScramble+"\x00") + mysqlPacket(4, "\xfemysql_native_password\x00"+mysqlScramble+"\x00") +
			mysqlPacket(6, "\xfemysql_native_password\x00"+mysqlScramble+"\x00") + mysqlPacket(8, "\xfemysql_native_password\x00"+mysqlScramble+"\x00") +
			mysqlPacket(10, "\xfemysql_native_password\x00"+mysqlScramble+"\x00"), probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"switches to a signature of what ends with a zero", "", mysqlHello + mysqlPacket(2, "\xfeclient_ed25519\x00"+strings.Repeat("x", 31)+"\x00") + mysqlPacket(4, mysqlOKBody) + mysqlPacket(1, mysqlOKBody) + mysqlShowResult(), probes.SuccessResult(), probes.SuccessResult()},
		{"wants more of nothing", "", mysqlHello + mysqlPacket(2, "\x01\x04"), probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"wants it encrypted by a key of its own", "", mysqlHello + mysqlPacket(2, "\xfesha256_password\x00"+mysqlScramble+"\x00") + mysqlPacket(4, "\x01a key"), withheldBy(probes.LoginMySQLSHA256), probes.FailureResult(probes.ReasonProtocol)},
		{"claims 16 MiB", "", "\xff\xff\xff\x00\x0a", probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"claims 16 MiB later", "", mysqlHello + "\xff\xff\xff\x02\x00", probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"claims 1 MiB", "", mysqlHello + "\x00\x00\x10\x02\x00", probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
		{"empty packet", "", mysqlHello + "\x00\x00\x00\x02", probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
	})
}

func TestMySQLRole_VariablesOfTheServer_DecideTheResult(t *testing.T) {
	checkMySQL(t, []mysqlCase{
		{"primary", " role=Primary", mysqlHello + mysqlWelcome + mysqlShowResult("read_only", "0", "innodb_read_only", "0"), probes.SuccessResult(), probes.SuccessResult()},
		{"primary in words", " role=Primary", mariaHello + mysqlWelcome + mysqlShowResult("READ_ONLY", "OFF", "innodb_read_only", "off", "tx_read_only", "OFF", "wsrep_on", "OFF"), probes.SuccessResult(), probes.SuccessResult()},
		{"primary whose transactions only read", " role=Primary", mariaHello + mysqlWelcome + mysqlShowResult("read_only", "OFF", "tx_read_only", "ON"), probes.FailureResult(probes.ReasonReadOnly), probes.SuccessResult()},
		{"the same in MySQL", " role=Primary", mysqlHello + mysqlWelcome + mysqlShowResult("read_only", "OFF", "transaction_read_only", "ON"), probes.FailureResult(probes.ReasonReadOnly), probes.SuccessResult()},
		{"primary in recovery", " role=Primary", mysqlHello + mysqlWelcome + mysqlShowResult("read_only", "OFF", "innodb_force_recovery", "1"), probes.FailureResult(probes.ReasonReadOnly), probes.SuccessResult()},
		{"primary in a recovery that takes writes", " role=Primary", mariaHello + mysqlWelcome + mysqlShowResult("read_only", "OFF", "innodb_force_recovery", "3"), probes.SuccessResult(), probes.SuccessResult()},
		{"primary in a recovery that does not", " role=Primary", mariaHello + mysqlWelcome + mysqlShowResult("read_only", "OFF", "innodb_force_recovery", "4"), probes.FailureResult(probes.ReasonReadOnly), probes.SuccessResult()},
		{"neither", " role=Replica", mariaHello + mysqlWelcome + mysqlShowResult("read_only", "OFF", "tx_read_only", "ON"), probes.IneligibleResult(probes.ReasonRole), probes.SuccessResult()},
		{"replica", " role=Primary", mysqlHello + mysqlWelcome + mysqlReplica, probes.IneligibleResult(probes.ReasonRole), probes.SuccessResult()},
		{"replica in words", " role=Replica", mariaHello + mysqlWelcome + mysqlShowResult("read_only", "NO_LOCK"), probes.SuccessResult(), probes.SuccessResult()},
		{"reader of a cluster", " role=Replica", mysqlHello + mysqlWelcome + mysqlShowResult("read_only", "OFF", "innodb_read_only", "ON"), probes.SuccessResult(), probes.SuccessResult()},
		{"no role", " role=Primary", mysqlHello + mysqlWelcome + mysqlErrorPacket(1, 1193), probes.FailureResult(probes.ReasonRoleUnknown), probes.SuccessResult()},
		{"no rows", " role=Primary", mysqlHello + mysqlWelcome + mysqlShowResult(), probes.FailureResult(probes.ReasonRoleUnknown), probes.SuccessResult()},
		{"three columns", " role=Primary", mysqlHello + mysqlWelcome + mysqlResultSet([]string{"a", "b", "c"}, "\x01x\x01x\x01x"), probes.FailureResult(probes.ReasonProtocol), probes.SuccessResult()},
		{"NULL", " role=Primary", mysqlHello + mysqlWelcome + mysqlResultSet([]string{"a", "b"}, "\x09read_only\xfb"), probes.FailureResult(probes.ReasonRoleUnknown), probes.SuccessResult()},
		{"half a row", " role=Primary", mysqlHello + mysqlWelcome + mysqlResultSet([]string{"a", "b"}, "\x011"), probes.FailureResult(probes.ReasonProtocol), probes.SuccessResult()},
		{"wants a file", " role=Primary", mysqlHello + mysqlWelcome + mysqlPacket(1, "\xfb/etc/passwd"), probes.FailureResult(probes.ReasonProtocol), probes.SuccessResult()},
		{"too many columns", " role=Primary", mysqlHello + mysqlWelcome + mysqlPacket(1, "\xfc\x00\x02"), probes.FailureResult(probes.ReasonProtocol), probes.SuccessResult()},
		{"too many rows", " role=Primary", mysqlHello + mysqlWelcome + mysqlResultSet([]string{"a"}, strings.Split(strings.Repeat("\x01x,", 300), ",")[:300]...), probes.FailureResult(probes.ReasonProtocol), probes.SuccessResult()},
		{"ping that fails", "", mysqlHello + mysqlPacket(2, mysqlOKBody) + mysqlPacket(1, "\x01"), probes.FailureResult(probes.ReasonProtocol), probes.FailureResult(probes.ReasonProtocol)},
	})
}

func TestMySQLLag_RowsOfTheReplica_DecideTheResult(t *testing.T) {
	checkMySQL(t, []mysqlCase{
		{"lag", " maxLag=10s", mysqlHello + mysqlWelcome + mysqlReplica + mysqlResultSet([]string{"x", "Seconds_Behind_Source"}, "\xfb\x017"), probes.SuccessResult(), probes.SuccessResult()},
		{"too much lag", " maxLag=10s", mysqlHello + mysqlWelcome + mysqlReplica + mysqlResultSet([]string{"x", "Seconds_Behind_Source"}, "\xfb\x0211"), probes.FailureResult(probes.ReasonLag), probes.SuccessResult()},
		{"lag of one of two", " maxLag=10s", mariaHello + mysqlWelcome + mysqlReplica + mysqlResultSet([]string{"Seconds_Behind_Master"}, "\x010", "\x0211"), probes.FailureResult(probes.ReasonLag), probes.SuccessResult()},
		{"one of two stopped", " maxLag=10s", mariaHello + mysqlWelcome + mysqlReplica + mysqlResultSet([]string{"Seconds_Behind_Master"}, "\x010", "\xfb"), probes.FailureResult(probes.ReasonLag), probes.SuccessResult()},
		{"lag of an old server", " maxLag=10s", mysqlHello + mysqlWelcome + mysqlReplica + mysqlErrorPacket(1, 1064) + mysqlResultSet([]string{"Seconds_Behind_Master"}, "\x017"), probes.SuccessResult(), probes.SuccessResult()},
		{"lag that is none of this user's business", " maxLag=10s", mysqlHello + mysqlWelcome + mysqlReplica + mysqlErrorPacket(1, 1227), probes.FailureResult(probes.ReasonRoleUnknown), probes.SuccessResult()},
		{"lag in no column", " maxLag=10s", mysqlHello + mysqlWelcome + mysqlReplica + mysqlResultSet([]string{"x"}, "\x017"), probes.FailureResult(probes.ReasonRoleUnknown), probes.SuccessResult()},
		{"lag in words", " maxLag=10s", mysqlHello + mysqlWelcome + mysqlReplica + mysqlResultSet([]string{"Seconds_Behind_Source"}, "\x02no"), probes.FailureResult(probes.ReasonRoleUnknown), probes.SuccessResult()},
		{"no sources", " maxLag=10s", mysqlHello + mysqlWelcome + mysqlReplica + mysqlResultSet([]string{"Seconds_Behind_Source"}), probes.SuccessResult(), probes.SuccessResult()},
		{"no sources, although a replica", " maxLag=10s role=Replica", mysqlHello + mysqlWelcome + mysqlReplica + mysqlResultSet([]string{"Seconds_Behind_Source"}), probes.FailureResult(probes.ReasonLag), probes.SuccessResult()},
	})
}

func TestSourceLag(t *testing.T) {
	type step struct {
		now, behind time.Duration
		replicates  bool
		want        time.Duration
	}
	for name, steps := range map[string][]step{
		"follows":                {{1000, 0, true, 0}, {1010, 3, true, 3}, {1020, 0, true, 0}},
		"stops":                  {{1000, 3, true, 3}, {1010, 0, false, 13}, {1100, 0, false, 103}, {1110, 5, true, 5}},
		"found stopped":          {{1000, 0, false, unknownLag}, {1010, 0, false, unknownLag}},
		"its clock is set back":  {{1000, 3, true, 3}, {900, 0, false, unknownLag}, {910, 0, false, unknownLag}},
		"its clock runs forward": {{1000, 3, true, 3}, {9000, 2, true, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			var lag sourceLag
			for i, step := range steps {
				if got := lag.observe(step.now, step.behind, step.replicates); got != step.want {
					t.Errorf("probe %d: got %v, want %v", i, got, step.want)
				}
			}
		})
	}
}

// FuzzMySQLServer: nothing that a server says makes a probe panic.
func FuzzMySQLServer(f *testing.F) {
	const ok = "\x00\x00\x00\x02\x00\x00\x00"
	hello := mysqlGreeting("8.4.0", "mysql_native_password", mysqlCapable, mysqlScramble)
	f.Add(hello + mysqlPacket(2, ok) + mysqlPacket(1, ok) + mysqlPacket(1, "\x01") + mysqlPacket(2, "\x03def\x00\x00\x00\x01a\x00") +
		mysqlPacket(3, "\xfe\x00\x00\x02\x00") + mysqlPacket(4, "\x011") + mysqlPacket(5, "\xfe\x00\x00\x02\x00"))
	f.Add(hello + mysqlPacket(2, "\xfecaching_sha2_password\x00"+mysqlScramble+"\x00") + mysqlPacket(4, "\x01\x04"))
	f.Add(hello + mysqlPacket(2, "\xfesha256_password\x00"+mysqlScramble+"\x00") + mysqlPacket(4, "\x01-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"))
	f.Add(hello + mysqlPacket(2, "\xfeclient_ed25519\x00"+strings.Repeat("x", 32)))
	def := loginAt(netip.MustParseAddrPort("192.0.2.10:3306"), "mysql:///app sslMode=Disable role=Replica maxLag=1s", "probe", "hunter2")
	asks := prepare(f, def).(*mysqlProber)
	f.Fuzz(func(t *testing.T, sent string) {
		s := newMySQLSession(recited{Reader: strings.NewReader(sent)})
		defer s.release()
		_ = asks.check(t.Context(), s, nil, false)
	})
}
