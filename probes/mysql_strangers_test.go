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

package probes

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

func TestMySQLStrangers(t *testing.T) {
	for _, query := range []string{"", "?tls=false", "?tls=skip-verify", "?role=primary"} {
		t.Run(query, func(t *testing.T) { testStrangers(t, "mysql:///app"+query) })
	}
}

// mysqlPacket is one of the protocol's.
func mysqlPacket(sequence byte, content string) string {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(content)))
	head[3] = sequence
	return string(head) + content
}

// mysqlGreeting is what servers say first.
func mysqlGreeting(version, plugin string, capabilities uint32, scramble string) string {
	low := binary.LittleEndian.AppendUint32(nil, capabilities)
	return mysqlPacket(0, "\x0a"+version+"\x00"+"\x01\x00\x00\x00"+scramble[:8]+"\x00"+string(low[:2])+"\x2d\x02\x00"+string(low[2:])+
		string([]byte{byte(len(scramble) + 1)})+strings.Repeat("\x00", 10)+scramble[8:]+"\x00"+plugin+"\x00")
}

const (
	mysqlScramble = "abcdefghijklmnopqrst"
	mysqlCapable  = mysqlLongPassword | mysqlConnectWithDB | mysqlProtocol41 | mysqlTransactions | mysqlSecureConnection | mysqlPluginAuth | mysqlConnectAttrs | mysqlLongAuthData
)

func TestMySQLPackets(t *testing.T) {
	const ok = "\x00\x00\x00\x02\x00\x00\x00"
	fail := func(sequence byte, code uint16) string {
		return mysqlPacket(sequence, "\xff"+string(binary.LittleEndian.AppendUint16(nil, code))+"#HY000s3cret")
	}
	hello := mysqlGreeting("8.4.0", "mysql_native_password", mysqlCapable, mysqlScramble)
	maria := mysqlGreeting("5.5.5-10.11.6-MariaDB", "mysql_native_password", mysqlCapable, mysqlScramble)
	welcome := mysqlPacket(2, ok) + mysqlPacket(1, ok) // to the login and to the ping
	column := func(name string) string { return "\x03def\x00\x00\x00" + string(rune(len(name))) + name + "\x00" }
	table := func(columns []string, rows ...string) string {
		text, sequence := mysqlPacket(1, string(rune(len(columns)))), byte(2)
		add := func(content string) { text += mysqlPacket(sequence, content); sequence++ }
		for _, name := range columns {
			add(column(name))
		}
		add("\xfe\x00\x00\x02\x00")
		for _, row := range rows {
			add(row)
		}
		add("\xfe\x00\x00\x02\x00")
		return text
	}
	// shown answers a SHOW statement, by names and values in turn.
	shown := func(settings ...string) string {
		var rows []string
		for i := 0; i < len(settings); i += 2 {
			rows = append(rows, string(appendLengthAnd(appendLengthAnd(nil, settings[i]), settings[i+1])))
		}
		return table([]string{"Variable_name", "Value"}, rows...)
	}
	clock := table([]string{"t"}, "\x0a1000.00000")
	replica := shown("read_only", "ON") + clock
	asked := welcome + shown("read_only", "OFF")
	for _, test := range []struct {
		name, query, sent string
		// login and nobody are the results with a user and without one.
		login, nobody Result
	}{
		{"well", "", hello + asked, success(), success()},
		{"has no variables", "", hello + welcome + shown(), success(), success()},
		{"knows no SHOW", "", hello + welcome + fail(1, 1064), success(), success()},
		{"says that all is well, whatever it is asked", "", hello + welcome + mysqlPacket(1, ok), success(), success()},
		{"lets the user ask nothing", "", hello + welcome + fail(1, 1820), success(), success()},
		{"refuses queries", "", hello + welcome + fail(1, 1047), failure(ReasonNotAccepting), success()},
		{"is offline", "", hello + welcome + shown("offline_mode", "ON"), failure(ReasonNotAccepting), success()},
		{"is in a cluster", "", hello + welcome + shown("wsrep_on", "ON", "wsrep_reject_queries", "NONE") + shown("wsrep_ready", "ON"), success(), success()},
		{"is in no cluster", "", hello + welcome + shown("wsrep_on", "ON") + shown("wsrep_ready", "OFF"), failure(ReasonNotAccepting), success()},
		{"rejects queries", "", hello + welcome + shown("wsrep_on", "ON", "wsrep_reject_queries", "ALL"), failure(ReasonNotAccepting), success()},
		{"is full", "", fail(0, 1040), failure(ReasonTooManyConnections), failure(ReasonTooManyConnections)},
		{"does not know this host", "", fail(0, 1130), failure(ReasonAuthentication), success()},
		{"has blocked this host", "", fail(0, 1129), failure(ReasonAuthentication), success()},
		{"knows nobody", "", hello + fail(2, 1045), failure(ReasonAuthentication), success()},
		{"has another error", "", hello + fail(2, 1049), failure(ReasonServerError), success()},
		{"shuts down", "", hello + fail(2, 1053), failure(ReasonNotAccepting), failure(ReasonNotAccepting)},
		{"has no cluster", "", hello + mysqlPacket(2, ok) + fail(1, 1047), failure(ReasonNotAccepting), failure(ReasonNotAccepting)},
		{"error out of turn", "", hello + fail(7, 1045), failure(ReasonAuthentication), success()},
		{"answer out of turn", "", hello + mysqlPacket(3, ok), failure(ReasonProtocol), failure(ReasonProtocol)},
		{"old protocol", "", mysqlPacket(0, "\x093.23.49\x00\x01\x00\x00\x00abcdefgh\x00"), failure(ReasonProtocol), failure(ReasonProtocol)},
		{"old capabilities", "", mysqlGreeting("4.0", "", mysqlLongPassword, mysqlScramble), failure(ReasonProtocol), failure(ReasonProtocol)},
		{"half a greeting", "", mysqlPacket(0, "\x0a8.4.0\x00\x01\x00"), failure(ReasonProtocol), failure(ReasonProtocol)},
		{"short scramble", "", mysqlGreeting("8.4.0", "caching_sha2_password", mysqlCapable, mysqlScramble)[:70], failure(ReasonConnectionClosed), failure(ReasonConnectionClosed)},
		{"switches to a short scramble", "", hello + mysqlPacket(2, "\xfecaching_sha2_password\x00abc\x00"), failure(ReasonProtocol), failure(ReasonConnectionClosed)},
		{"switches to something unknown", "", hello + mysqlPacket(2, "\xfeauth_gssapi_client\x00x\x00"), failure(ReasonAuthentication), success()},
		{"switches to plain text without TLS", "", hello + mysqlPacket(2, "\xfemysql_clear_password\x00") + fail(4, 1045), withheldBy(loginMySQLClear), success()},
		{"switches to the oldest method", "", hello + mysqlPacket(2, "\xfe"), failure(ReasonAuthentication), success()},
		{"switches for ever", "", hello + mysqlPacket(2, "\xfemysql_native_password\x00"+mysqlScramble+"\x00") + mysqlPacket(4, "\xfemysql_native_password\x00"+mysqlScramble+"\x00") +
			mysqlPacket(6, "\xfemysql_native_password\x00"+mysqlScramble+"\x00") + mysqlPacket(8, "\xfemysql_native_password\x00"+mysqlScramble+"\x00") +
			mysqlPacket(10, "\xfemysql_native_password\x00"+mysqlScramble+"\x00"), failure(ReasonProtocol), failure(ReasonProtocol)},
		{"switches to a signature of what ends with a zero", "", hello + mysqlPacket(2, "\xfeclient_ed25519\x00"+strings.Repeat("x", 31)+"\x00") + mysqlPacket(4, ok) + mysqlPacket(1, ok) + shown(), success(), success()},
		{"wants more of nothing", "", hello + mysqlPacket(2, "\x01\x04"), failure(ReasonProtocol), failure(ReasonProtocol)},
		{"wants it encrypted by a key of its own", "", hello + mysqlPacket(2, "\xfesha256_password\x00"+mysqlScramble+"\x00") + mysqlPacket(4, "\x01a key"), withheldBy(loginMySQLSHA256), failure(ReasonProtocol)},
		{"claims 16 MiB", "", "\xff\xff\xff\x00\x0a", failure(ReasonProtocol), failure(ReasonProtocol)},
		{"claims 16 MiB later", "", hello + "\xff\xff\xff\x02\x00", failure(ReasonProtocol), failure(ReasonProtocol)},
		{"claims 1 MiB", "", hello + "\x00\x00\x10\x02\x00", failure(ReasonProtocol), failure(ReasonProtocol)},
		{"empty packet", "", hello + "\x00\x00\x00\x02", failure(ReasonProtocol), failure(ReasonProtocol)},

		{"primary", "?role=primary", hello + welcome + shown("read_only", "0", "innodb_read_only", "0"), success(), success()},
		{"primary in words", "?role=primary", maria + welcome + shown("READ_ONLY", "OFF", "innodb_read_only", "off", "tx_read_only", "OFF", "wsrep_on", "OFF"), success(), success()},
		{"primary whose transactions only read", "?role=primary", maria + welcome + shown("read_only", "OFF", "tx_read_only", "ON"), failure(ReasonRole), success()},
		{"the same in MySQL", "?role=primary", hello + welcome + shown("read_only", "OFF", "transaction_read_only", "ON"), failure(ReasonRole), success()},
		{"primary in recovery", "?role=primary", hello + welcome + shown("read_only", "OFF", "innodb_force_recovery", "1"), failure(ReasonRole), success()},
		{"primary in a recovery that takes writes", "?role=primary", maria + welcome + shown("read_only", "OFF", "innodb_force_recovery", "3"), success(), success()},
		{"primary in a recovery that does not", "?role=primary", maria + welcome + shown("read_only", "OFF", "innodb_force_recovery", "4"), failure(ReasonRole), success()},
		{"neither", "?role=replica", maria + welcome + shown("read_only", "OFF", "tx_read_only", "ON"), failure(ReasonRole), success()},
		{"replica", "?role=primary", hello + welcome + replica, failure(ReasonRole), success()},
		{"replica in words", "?role=replica", maria + welcome + shown("read_only", "NO_LOCK"), success(), success()},
		{"reader of a cluster", "?role=replica", hello + welcome + shown("read_only", "OFF", "innodb_read_only", "ON"), success(), success()},
		{"no role", "?role=primary", hello + welcome + fail(1, 1193), failure(ReasonRoleUnknown), success()},
		{"no rows", "?role=primary", hello + welcome + shown(), failure(ReasonRoleUnknown), success()},
		{"three columns", "?role=primary", hello + welcome + table([]string{"a", "b", "c"}, "\x01x\x01x\x01x"), failure(ReasonProtocol), success()},
		{"NULL", "?role=primary", hello + welcome + table([]string{"a", "b"}, "\x09read_only\xfb"), failure(ReasonRoleUnknown), success()},
		{"half a row", "?role=primary", hello + welcome + table([]string{"a", "b"}, "\x011"), failure(ReasonProtocol), success()},
		{"wants a file", "?role=primary", hello + welcome + mysqlPacket(1, "\xfb/etc/passwd"), failure(ReasonProtocol), success()},
		{"too many columns", "?role=primary", hello + welcome + mysqlPacket(1, "\xfc\x00\x02"), failure(ReasonProtocol), success()},
		{"too many rows", "?role=primary", hello + welcome + table([]string{"a"}, strings.Split(strings.Repeat("\x01x,", 300), ",")[:300]...), failure(ReasonProtocol), success()},
		{"ping that fails", "", hello + mysqlPacket(2, ok) + mysqlPacket(1, "\x01"), failure(ReasonProtocol), failure(ReasonProtocol)},

		{"lag", "?maxLag=10s", hello + welcome + replica + table([]string{"x", "Seconds_Behind_Source"}, "\xfb\x017"), success(), success()},
		{"too much lag", "?maxLag=10s", hello + welcome + replica + table([]string{"x", "Seconds_Behind_Source"}, "\xfb\x0211"), failure(ReasonLag), success()},
		{"lag of one of two", "?maxLag=10s", maria + welcome + replica + table([]string{"Seconds_Behind_Master"}, "\x010", "\x0211"), failure(ReasonLag), success()},
		{"one of two stopped", "?maxLag=10s", maria + welcome + replica + table([]string{"Seconds_Behind_Master"}, "\x010", "\xfb"), failure(ReasonLag), success()},
		{"lag of an old server", "?maxLag=10s", hello + welcome + replica + fail(1, 1064) + table([]string{"Seconds_Behind_Master"}, "\x017"), success(), success()},
		{"lag that is none of this user's business", "?maxLag=10s", hello + welcome + replica + fail(1, 1227), failure(ReasonRoleUnknown), success()},
		{"lag in no column", "?maxLag=10s", hello + welcome + replica + table([]string{"x"}, "\x017"), failure(ReasonRoleUnknown), success()},
		{"lag in words", "?maxLag=10s", hello + welcome + replica + table([]string{"Seconds_Behind_Source"}, "\x02no"), failure(ReasonRoleUnknown), success()},
		{"no sources", "?maxLag=10s", hello + welcome + replica + table([]string{"Seconds_Behind_Source"}), success(), success()},
		{"no sources, although a replica", "?maxLag=10s&role=replica", hello + welcome + replica + table([]string{"Seconds_Behind_Source"}), failure(ReasonLag), success()},
	} {
		t.Run(test.name, func(t *testing.T) {
			endpoint := serve(t, closing(func(conn net.Conn) { _, _ = io.WriteString(conn, test.sent) }))
			prober := prepare(t, loginAt(endpoint, "mysql:///app"+join(test.query, "tls=false"), "probe", "hunter2"))
			var got Result
			if allocated := allocatedBy(func() { got = probeOnce(t, prober, ample) }); allocated > 1<<20 {
				t.Errorf("took %d bytes of memory", allocated)
			}
			if got != test.login {
				t.Errorf("got %+v, want %+v", got, test.login)
			}
			if got := result(t, at(endpoint, "mysql:///app?tls=false"), ample); got != test.nobody {
				t.Errorf("without a user: got %+v, want %+v", got, test.nobody)
			}
		})
	}
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

// mysqlMethod is a server that lets people in by one method, who know the password.
type mysqlMethod struct {
	greeted, plugin string
	tls             *tls.Config
	key             *rsa.PrivateKey
	// cached: it knows the password's hash already.
	cached bool
	// scrambles are the one of the greeting and, if the methods differ, that of the switch.
	scramble string
}

const mysqlPassword = "correct horse"

// talk is the server's side. It checks proofs in another way than they are made: by what
// a server keeps of a password.
func (m mysqlMethod) talk(conn net.Conn) {
	capabilities := uint32(mysqlCapable)
	if m.tls != nil {
		capabilities |= mysqlSSL
	}
	_, _ = io.WriteString(conn, mysqlGreeting("8.4.0", m.greeted, capabilities, m.scramble))
	login, sequence := readPacket(conn)
	if m.tls != nil && len(login) == 32 {
		server := tls.Server(conn, m.tls)
		if server.Handshake() != nil {
			return
		}
		defer func() { _ = server.CloseWrite() }()
		conn = server
		login, sequence = readPacket(conn)
	}
	if len(login) < 33 {
		return
	}
	p := payload{rest: login[32:]}
	p.terminated()
	length, _ := p.length()
	proof := p.bytes(int(length))
	if plugin := p.terminated(); plugin != m.plugin {
		_, _ = io.WriteString(conn, mysqlPacket(sequence+1, "\xfe"+m.plugin+"\x00"+m.scramble+"\x00"))
		proof, sequence = readPacket(conn)
	}
	good, sequence := m.check(conn, proof, sequence)
	if !good {
		_, _ = io.WriteString(conn, mysqlPacket(sequence+1, "\xff\x15\x04#28000no"))
		return
	}
	for ; ; sequence = 0 {
		_, _ = io.WriteString(conn, mysqlPacket(sequence+1, "\x00\x00\x00\x02\x00\x00\x00"))
		if command, _ := readPacket(conn); len(command) == 0 || command[0] == mysqlQuit {
			return
		}
	}
}

func readPacket(conn net.Conn) (content []byte, sequence byte) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, 0
	}
	content = make([]byte, int(head[0])|int(head[1])<<8)
	_, _ = io.ReadFull(conn, content)
	return content, head[3]
}

// check looks at a proof and may ask for another one.
func (m mysqlMethod) check(conn net.Conn, proof []byte, sequence byte) (good bool, last byte) {
	ask := func(question string) []byte {
		_, _ = io.WriteString(conn, mysqlPacket(sequence+1, "\x01"+question))
		proof, sequence = readPacket(conn)
		return proof
	}
	_, secure := conn.(*tls.Conn)
	plain := mysqlPassword + "\x00"
	encrypted := func() bool {
		der, _ := x509.MarshalPKIXPublicKey(&m.key.PublicKey)
		sealed := ask(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
		mixed, err := rsa.DecryptOAEP(sha1.New(), nil, m.key, sealed, nil)
		return err == nil && string(xor(mixed, []byte(m.scramble))) == plain
	}
	switch m.plugin {
	case "mysql_native_password":
		once := sha1.Sum([]byte(mysqlPassword))
		kept := sha1.Sum(once[:])
		mask := sha1.Sum(append([]byte(m.scramble), kept[:]...))
		if len(proof) != len(mask) {
			return false, sequence
		}
		candidate := sha1.Sum(xor(proof, mask[:]))
		return candidate == kept, sequence
	case "caching_sha2_password":
		once := sha256.Sum256([]byte(mysqlPassword))
		kept := sha256.Sum256(once[:])
		if m.cached {
			mask := sha256.Sum256(append(bytes.Clone(kept[:]), m.scramble...))
			if len(proof) != len(mask) || sha256.Sum256(xor(proof, mask[:])) != kept {
				return false, sequence
			}
			_, _ = io.WriteString(conn, mysqlPacket(sequence+1, "\x01\x03"))
			return true, sequence + 1
		}
		if proof = ask("\x04"); secure {
			return string(proof) == plain, sequence
		}
		return string(proof) == "\x02" && encrypted(), sequence
	case "sha256_password":
		if secure {
			return string(proof) == plain, sequence
		}
		return string(proof) == "\x01" && encrypted(), sequence
	case "mysql_clear_password":
		return string(proof) == plain, sequence
	}
	return false, sequence
}

// wantsPassword is the method by which the server is told the password itself; 0 if it is
// not.
func (m mysqlMethod) wantsPassword() loginMethod {
	switch {
	case m.plugin == "sha256_password":
		return loginMySQLSHA256
	case m.plugin == "mysql_clear_password":
		return loginMySQLClear
	case m.plugin == "caching_sha2_password" && !m.cached:
		return loginMySQLCachingFull
	}
	return 0
}

// What we prove to a server, the client that most programs use proves as well, and so the
// server of this test is like those of the world.
func TestMySQLMethods(t *testing.T) {
	ca := newAuthority(t)
	encrypting := &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []mysqlMethod{
		{greeted: "sha256_password", plugin: "mysql_native_password"},
		{greeted: "mysql_native_password", plugin: "mysql_native_password"},
		{greeted: "caching_sha2_password", plugin: "mysql_native_password"},
		{greeted: "auth_gssapi_client", plugin: "mysql_native_password"},
		{greeted: "caching_sha2_password", plugin: "caching_sha2_password", cached: true},
		{greeted: "caching_sha2_password", plugin: "caching_sha2_password"},
		{greeted: "caching_sha2_password", plugin: "caching_sha2_password", tls: encrypting},
		{greeted: "mysql_native_password", plugin: "caching_sha2_password", tls: encrypting},
		{greeted: "mysql_native_password", plugin: "caching_sha2_password"},
		{greeted: "caching_sha2_password", plugin: "caching_sha2_password", tls: encrypting, cached: true},
		{greeted: "sha256_password", plugin: "sha256_password"},
		{greeted: "mysql_native_password", plugin: "sha256_password"},
		{greeted: "sha256_password", plugin: "sha256_password", tls: encrypting},
		{greeted: "caching_sha2_password", plugin: "mysql_clear_password", tls: encrypting},
	} {
		name := method.plugin + " after " + method.greeted
		if method.tls != nil {
			name += ", TLS"
		}
		if method.cached {
			name += ", cached"
		}
		method.key, method.scramble = key, mysqlScramble
		t.Run(name, func(t *testing.T) {
			endpoint := serve(t, method.talk)
			for password, want := range map[string]Result{mysqlPassword: success(), "wrong": failure(ReasonAuthentication), "": failure(ReasonAuthentication)} {
				knows := want == success()
				def := at(endpoint, "mysql://probe@")
				if password != "" {
					if keeps := method.wantsPassword(); keeps != 0 && method.tls == nil {
						want = withheldBy(keeps)
					}
					def = loginAt(endpoint, "mysql://", "probe", password)
				}
				if method.tls != nil {
					def.TLS = &TLSSettings{CABundle: ca.bundle()}
				}
				if got := result(t, def, ample); got != want {
					t.Errorf("password %q: got %+v, want %+v", password, got, want)
				}
				if err := mysqlOracle(t, endpoint, password, method.tls != nil); (err == nil) != knows {
					t.Errorf("password %q: the usual client gets %v", password, err)
				}
			}
		})
	}
}

// mysqlOracle logs in with the client that most programs use.
func mysqlOracle(t *testing.T, endpoint netip.AddrPort, password string, encrypted bool) error {
	t.Helper()
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr = "probe", password, "tcp", endpoint.String()
	config.AllowCleartextPasswords, config.Logger = true, &mysql.NopLogger{}
	if encrypted {
		config.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), ample)
	defer cancel()
	conn, err := connector.Connect(ctx)
	if err == nil {
		err = conn.Close()
	}
	return err
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
	def := loginAt(netip.MustParseAddrPort("192.0.2.10:3306"), "mysql:///app?tls=false&role=replica&maxLag=1s", "probe", "hunter2")
	asks := prepare(f, def).(*mysqlProber)
	f.Fuzz(func(t *testing.T, sent string) {
		s := newMySQLSession(recited{Reader: strings.NewReader(sent)})
		defer s.release()
		_ = asks.visit(t.Context(), s, nil, false)
	})
}
