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
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/servers"
)

func startRedis(t testing.TB, settings ...string) *servers.Redis {
	t.Helper()
	server := servers.NewRedis(t, settings...)
	server.Start()
	return server
}

func TestRedisLogin(t *testing.T) {
	t.Parallel() // it waits for servers
	open, closed := startRedis(t), startRedis(t, "requirepass hunter2", "user probe on >trustno1 +ping +role", "user mute on nopass -@all +auth")
	for _, test := range []struct {
		name string
		def  Definition
		want probes.Result
	}{
		{"no password", at(open.Address(), "redis://"), probes.SuccessResult()},
		{"a password that nobody asked for", openLoginAt(open.Address(), "redis://", "", "hunter2"), probes.FailureResult(probes.ReasonAuthentication)},
		{"password", openLoginAt(closed.Address(), "redis://", "", "hunter2"), probes.SuccessResult()},
		{"default user", openLoginAt(closed.Address(), "redis://", "default", "hunter2"), probes.SuccessResult()},
		{"wrong password", openLoginAt(closed.Address(), "redis://", "", "hunter3"), probes.FailureResult(probes.ReasonAuthentication)},
		{"no credentials", at(closed.Address(), "redis://"), probes.FailureResult(probes.ReasonAuthentication)},
		{"user", openLoginAt(closed.Address(), "redis://", "probe", "trustno1"), probes.SuccessResult()},
		{"user in the URL", openLoginAt(closed.Address(), "redis://probe@", "", "trustno1"), probes.SuccessResult()},
		{"same user in both", openLoginAt(closed.Address(), "redis://probe@", "probe", "trustno1"), probes.SuccessResult()},
		{"wrong password of a user", openLoginAt(closed.Address(), "redis://", "probe", "hunter2"), probes.FailureResult(probes.ReasonAuthentication)},
		{"user who needs none", at(closed.Address(), "redis://mute@"), probes.FailureResult(probes.ReasonAuthentication)}, // and may not say PING
		{"role", openLoginAt(closed.Address(), "redis://probe@ role=Primary", "", "trustno1"), probes.SuccessResult()},
	} {
		t.Run(test.name, func(t *testing.T) {
			prober := prepare(t, test.def)
			for range 2 {
				if got := probeOnce(t, prober, probetest.Ample); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			}
		})
	}
	closed.Do("-a", "hunter2", "ACL", "SETUSER", "probe", "-role")
	if got, want := result(t, openLoginAt(closed.Address(), "redis:// role=Primary", "probe", "trustno1"), probetest.Ample), probes.FailureResult(probes.ReasonRoleUnknown); got != want {
		t.Errorf("a user who may not ask: got %+v, want %+v", got, want)
	}
}

func TestRedisRoles(t *testing.T) {
	t.Parallel() // it waits for servers
	first := startRedis(t)
	second := startRedis(t, fmt.Sprintf("replicaof 127.0.0.1 %d", first.Address().Port()))
	master, replica := prepare(t, at(second.Address(), "redis:// role=Primary")), prepare(t, at(second.Address(), "redis:// role=Replica"))
	expect(t, replica, probes.SuccessResult())
	expect(t, master, probes.IneligibleResult(probes.ReasonRole))
	expect(t, prepare(t, at(first.Address(), "redis:// role=Primary")), probes.SuccessResult())

	second.Do("REPLICAOF", "NO", "ONE")
	expect(t, master, probes.SuccessResult())
	expect(t, replica, probes.IneligibleResult(probes.ReasonRole))
}

func TestRedisNotAccepting(t *testing.T) {
	t.Parallel() // it waits for servers
	t.Run("loading", func(t *testing.T) {
		server := startRedis(t, "enable-debug-command yes", "key-load-delay 10000", "loading-process-events-interval-bytes 1024")
		server.Do("DEBUG", "POPULATE", "10000")
		server.Do("SAVE")
		server.Kill()
		server.Start() // takes 100 s to load
		expect(t, prepare(t, at(server.Address(), "redis://")), probes.FailureResult(probes.ReasonNotAccepting))
	})
	t.Run("without its master", func(t *testing.T) {
		server := startRedis(t, fmt.Sprintf("replicaof 127.0.0.1 %d", probetest.Refusing(t).Port()), "replica-serve-stale-data no")
		if got, want := result(t, at(server.Address(), "redis:// role=Replica"), probetest.Ample), probes.FailureResult(probes.ReasonNotAccepting); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("full", func(t *testing.T) {
		server := startRedis(t, "maxclients 1")
		occupant := occupy(t, server.Address())
		prober := prepare(t, at(server.Address(), "redis://"))
		expect(t, prober, probes.FailureResult(probes.ReasonTooManyConnections))
		occupant.Close()
		expect(t, prober, probes.SuccessResult())
	})
}

// occupy takes the one connection that a server has, once it is free.
func occupy(t *testing.T, at netip.AddrPort) net.Conn {
	t.Helper()
	for {
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "PING\r\n")
		answer := make([]byte, 7)
		if _, err := io.ReadFull(conn, answer); err == nil && string(answer) == "+PONG\r\n" {
			return conn
		}
		conn.Close()
	}
}

func TestRedisStoppedAndFrozen(t *testing.T) {
	server := startRedis(t)
	testStoppedAndFrozen(t, server.Server, at(server.Address(), "redis://"))
}

func TestRedisTLS(t *testing.T) {
	t.Parallel() // it waits for servers
	ca := probetest.NewAuthority(t)
	start := func(certificate tls.Certificate) *servers.Redis {
		server := servers.NewRedis(t, "requirepass hunter2").WithTLS(inPEM(t, certificate))
		server.Start()
		return server
	}
	good, old := start(ca.Issue(t)), start(ca.Issue(t, probetest.Expired))
	trusting := &transport.TLSSettings{CABundle: ca.Bundle()}
	for _, test := range []struct {
		name     string
		server   *servers.Redis
		settings *transport.TLSSettings
		password string
		want     probes.Result
	}{
		{"verified", good, trusting, "hunter2", probes.SuccessResult()},
		{"wrong password", good, trusting, "hunter3", probes.FailureResult(probes.ReasonAuthentication)},
		{"unknown authority", good, nil, "hunter2", probes.FailureResult(probes.ReasonCertificate)},
		{"another authority", good, &transport.TLSSettings{CABundle: probetest.NewAuthority(t).Bundle()}, "hunter2", probes.FailureResult(probes.ReasonCertificate)},
		{"expired", old, trusting, "hunter2", probes.FailureResult(probes.ReasonCertificate)},
		{"anything goes", old, &transport.TLSSettings{InsecureSkipVerify: true}, "hunter2", probes.SuccessResult()},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := openLoginAt(test.server.Address(), "rediss://", "", test.password)
			def.TLS = test.settings
			prober := prepare(t, def)
			for range 2 { // the second handshake may resume what the first has begun
				if got := probeOnce(t, prober, probetest.Ample); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			}
		})
	}
	if got := result(t, openLoginAt(good.Address(), "redis://", "", "hunter2"), probetest.Ample); got.Outcome != probes.Failure {
		t.Errorf("without TLS: got %+v", got)
	}
}

func TestRedisProbe_ServerOfAnotherProtocol_Fails(t *testing.T) {
	testOtherProtocols(t, "redis:// role=Primary")
}

func TestRedisReplies(t *testing.T) {
	const isMaster = "+OK\r\n+PONG\r\n*1\r\n+master\r\n"
	for _, test := range []struct {
		name, replies string
		want          probes.Result
	}{
		{"well", "+OK\r\n+PONG\r\n*3\r\n$6\r\nmaster\r\n:12\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n9001\r\n$1\r\n5\r\n:0\r\n", probes.SuccessResult()},
		{"a master that another one has replaced", isMaster + "-READONLY You can't write against a read only replica.\r\n", probes.FailureResult(probes.ReasonReadOnly)},
		{"a master without replicas", isMaster + "-NOREPLICAS Not enough good replicas to write.\r\n", probes.FailureResult(probes.ReasonReadOnly)},
		{"a master without a disk", isMaster + "-MISCONF Redis is configured to save RDB snapshots\r\n", probes.FailureResult(probes.ReasonNotAccepting)},
		{"a node without a cluster", isMaster + "-CLUSTERDOWN Hash slot not served\r\n", probes.FailureResult(probes.ReasonNotAccepting)},
		{"a node of a cluster", isMaster + "-MOVED 1234 192.0.2.1:6379\r\n", probes.SuccessResult()},
		{"a master with such a key", isMaster + "-WRONGTYPE Operation against a key\r\n", probes.SuccessResult()},
		{"a master that may not be written to, with replicas", isMaster + "-NOPERM x\r\n$52\r\nrole:master\r\nmin_slaves_good_slaves:1\r\nother:12345\r\n\r\n", probes.SuccessResult()},
		{"a master that may not be written to, without replicas", isMaster + "-NOPERM x\r\n$52\r\nrole:master\r\nmin_slaves_good_slaves:0\r\nother:12345\r\n\r\n", probes.FailureResult(probes.ReasonReadOnly)},
		{"a master that tells nothing", isMaster + "-NOPERM x\r\n-NOPERM x\r\n", probes.SuccessResult()},
		{"a master that tells too much", isMaster + "-NOPERM x\r\n$70000\r\n", probes.FailureResult(probes.ReasonProtocol)},
		{"a master that hangs up", isMaster, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"a sentinel", "+OK\r\n+PONG\r\n*2\r\n$8\r\nsentinel\r\n*1\r\n$7\r\nprimary\r\n", probes.FailureResult(probes.ReasonRoleUnknown)},
		{"no roles", "+OK\r\n+PONG\r\n-ERR unknown command 'ROLE'\r\n", probes.FailureResult(probes.ReasonRoleUnknown)},
		{"role of nothing", "+OK\r\n+PONG\r\n*0\r\n", probes.FailureResult(probes.ReasonRoleUnknown)},
		{"another answer to PING", "+OK\r\n+PING\r\n", probes.FailureResult(probes.ReasonProtocol)},
		{"long error", "+OK\r\n-ERR " + strings.Repeat("s3cret ", 400) + "\r\n", probes.FailureResult(probes.ReasonServerError)},
		{"busy", "+OK\r\n-BUSY Redis is busy running a script.\r\n", probes.FailureResult(probes.ReasonNotAccepting)},
		{"protected", "-DENIED Redis is running in protected mode\r\n", probes.FailureResult(probes.ReasonAuthentication)},
		{"length below all", "+OK\r\n$-2\r\n", probes.FailureResult(probes.ReasonProtocol)},
		{"length beyond all", "+OK\r\n$99999999999\r\n", probes.FailureResult(probes.ReasonProtocol)},
		{"nothing", "+OK\r\n$-1\r\n", probes.FailureResult(probes.ReasonProtocol)},
		{"array beyond all", "+OK\r\n*4097\r\n", probes.FailureResult(probes.ReasonProtocol)},
		{"arrays in arrays", "+OK\r\n" + strings.Repeat("*1\r\n", 100), probes.FailureResult(probes.ReasonProtocol)},
		{"wide arrays", "+OK\r\n*4096\r\n" + strings.Repeat("*4096\r\n:1\r\n", 10000), probes.FailureResult(probes.ReasonProtocol)},
		{"number that is none", "+OK\r\n:x\r\n", probes.FailureResult(probes.ReasonProtocol)},
		{"end without its mark", "+OK\r\n$4\r\nPONGxx", probes.FailureResult(probes.ReasonProtocol)},
		{"line without its mark", "+OK\n", probes.FailureResult(probes.ReasonProtocol)},
		{"half", "+OK\r\n$4\r\nPO", probes.FailureResult(probes.ReasonConnectionClosed)},
	} {
		t.Run(test.name, func(t *testing.T) {
			endpoint := probetest.Serve(t, probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, test.replies) }))
			if got := result(t, openLoginAt(endpoint, "redis:// role=Primary", "", "hunter2"), probetest.Ample); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// FuzzRESP: whatever a server sends is read without a panic, and none of it is kept but a
// short text.
func FuzzRESP(f *testing.F) {
	for _, seed := range []string{"+OK\r\n", "-ERR x\r\n", ":1\r\n", "$4\r\nPONG\r\n", "*2\r\n$6\r\nmaster\r\n*0\r\n", "$-1\r\n", "*-1\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		r := newRESPReader(strings.NewReader(sent))
		defer r.release()
		for {
			answer, err := r.read()
			if len(answer.text) > maxRESPText {
				t.Fatalf("kept %d bytes", len(answer.text))
			}
			if err != nil {
				return
			}
		}
	})
}

func TestRedisURLsRefused(t *testing.T) {
	testURLsRefused(t, &Credentials{Username: "bob", Password: "hunter2"}, map[string]string{
		"redis:///0":                      "redis URLs take no path or fragment",
		"redis:// role=master":            "healthCheck.redis.role is unknown: write Primary or Replica",
		"redis:// role=Primary maxLag=1s": "healthCheck.redis has maxLag with role: Primary, which has no lag: remove one of them",
		"redis://?password=hunter2":       "healthCheckURL: redis URLs take no parameters: write healthCheck.redis.role or maxLag instead",
		"rediss://?role=primary":          "healthCheckURL: rediss URLs take no parameters: write healthCheck.redis.role or maxLag instead",
		"redis://:hunter2@":               "healthCheckURL contains a password",
		"rediss://alice@":                 "healthCheckURL has another user than the Secret in healthCheck.credentialsSecretRef",
		"redis://@":                       "healthCheckURL has an @ without a user before it",
	})
	testURLsRefused(t, &Credentials{Token: "hunter2"}, map[string]string{
		"redis://": "healthCheck.credentialsSecretRef: the Secret has a token, which redis does not use",
	})
}

func benchmarkRedisProbe(b *testing.B) {
	server := startRedis(b, "requirepass hunter2")
	benchmark(b, openLoginAt(server.Address(), "redis:// role=Primary", "", "hunter2"))
}

func benchmarkRedisTLSProbe(b *testing.B) {
	ca := probetest.NewAuthority(b)
	server := servers.NewRedis(b, "requirepass hunter2").WithTLS(inPEM(b, ca.Issue(b)))
	server.Start()
	def := openLoginAt(server.Address(), "rediss:// role=Primary", "", "hunter2")
	def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
	benchmark(b, def)
}
