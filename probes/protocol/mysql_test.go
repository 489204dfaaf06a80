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
	"crypto/x509"
	"regexp"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/servers"
)

func startMariaDB(t testing.TB, settings ...string) *servers.MariaDB {
	t.Helper()
	server := servers.NewMariaDB(t, settings...)
	server.Start()
	// Each server has its own user, whatever the direction of the replication.
	server.Exec("SET sql_log_bin = OFF; CREATE USER probe IDENTIFIED BY 'hunter2'; GRANT REPLICA MONITOR, SLAVE MONITOR ON *.* TO probe")
	return server
}

// mysqlAt is a definition of a probe that logs in as the user that startMariaDB makes.
func mysqlAt(server *servers.MariaDB, query string) Definition {
	return loginAt(server.Address(), "mysql://"+query, "probe", "hunter2")
}

func TestMySQLLogin(t *testing.T) {
	t.Parallel() // it waits for servers
	server := startMariaDB(t, "--plugin-load-add=auth_ed25519")
	server.Exec("CREATE USER signing IDENTIFIED VIA ed25519 USING PASSWORD('hunter2'); CREATE USER open; CREATE DATABASE app; GRANT SELECT ON app.* TO probe;" +
		"CREATE USER locked IDENTIFIED BY 'hunter2' ACCOUNT LOCK; CREATE USER limited IDENTIFIED BY 'hunter2' WITH MAX_QUERIES_PER_HOUR 1;" +
		"CREATE USER elsewhere@'192.0.2.1' IDENTIFIED BY 'hunter2'; CREATE USER expired IDENTIFIED BY 'hunter2' PASSWORD EXPIRE")
	here := server.Address()
	for _, test := range []struct {
		name string
		def  Definition
		want probes.Result
	}{
		{"password", mysqlAt(server, ""), probes.SuccessResult()},
		{"user in the URL", loginAt(here, "mysql://probe@", "", "hunter2"), probes.SuccessResult()},
		{"database", mysqlAt(server, "/app"), probes.SuccessResult()},
		{"no such database", mysqlAt(server, "/nowhere"), probes.FailureResult(probes.ReasonAuthentication)}, // or not for this user
		{"wrong password", loginAt(here, "mysql://", "probe", "hunter3"), probes.FailureResult(probes.ReasonAuthentication)},
		{"no password", at(here, "mysql://probe@"), probes.FailureResult(probes.ReasonAuthentication)},
		{"nobody known", loginAt(here, "mysql://", "stranger", "hunter2"), probes.FailureResult(probes.ReasonAuthentication)},
		{"somebody from elsewhere", loginAt(here, "mysql://", "elsewhere", "hunter2"), probes.FailureResult(probes.ReasonAuthentication)},
		{"somebody without a password", at(here, "mysql://open@ role=Primary"), probes.SuccessResult()},
		{"locked", loginAt(here, "mysql://", "locked", "hunter2"), probes.FailureResult(probes.ReasonAuthentication)},
		{"expired", loginAt(here, "mysql:// role=Primary", "expired", "hunter2"), probes.FailureResult(probes.ReasonAuthentication)},
		{"by ed25519", loginAt(here, "mysql:// role=Primary", "signing", "hunter2"), probes.SuccessResult()},
		{"wrong password by ed25519", loginAt(here, "mysql://", "signing", "hunter3"), probes.FailureResult(probes.ReasonAuthentication)},
		{"nobody", at(here, "mysql://"), probes.SuccessResult()},
		{"nobody, with a database", at(here, "mysql:///nowhere"), probes.SuccessResult()},
		{"without TLS", mysqlAt(server, " sslMode=Disable"), probes.SuccessResult()},
		{"with TLS that it lacks", mysqlAt(server, " sslMode=VerifyFull"), probes.FailureResult(probes.ReasonTLSHandshake)},
		{"nobody, with TLS that it lacks", at(here, "mysql:// sslMode=Require"), probes.FailureResult(probes.ReasonTLSHandshake)},
		{"primary", mysqlAt(server, " role=Primary"), probes.SuccessResult()},
		{"replica", mysqlAt(server, " role=Replica"), probes.IneligibleResult(probes.ReasonRole)},
		{"lag of a primary", mysqlAt(server, " maxLag=1ms"), probes.SuccessResult()},
		{"lag, by a user without the right to read it", loginAt(here, "mysql:// maxLag=1s", "signing", "hunter2"), probes.FailureResult(probes.ReasonRoleUnknown)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := result(t, test.def, probetest.Ample); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// No connection outlives its probe, and none ends so that the server would write of it in
// its log, or count it against us.
func TestMySQLIsLeftInPeace(t *testing.T) {
	t.Parallel() // it waits for servers
	server := startMariaDB(t, "--log-warnings=9", "--max-connect-errors=3")
	for _, def := range []Definition{mysqlAt(server, ""), mysqlAt(server, " role=Replica"), mysqlAt(server, " maxLag=1s"), at(server.Address(), "mysql://")} {
		prober := prepare(t, def)
		for range 10 {
			probeOnce(t, prober, probetest.Ample)
		}
	}
	if complaint := regexp.MustCompile(`(?i).*abort.*`).FindString(server.Log()); complaint != "" {
		t.Errorf("the server complains: %s", complaint)
	}
	if got := result(t, mysqlAt(server, ""), probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("finally: got %+v", got)
	}
}

func TestMySQLRoles(t *testing.T) {
	t.Parallel() // it waits for servers
	first, second := startMariaDB(t), startMariaDB(t)
	second.Follow(first)
	write := []probes.Prober{prepare(t, mysqlAt(first, " role=Primary")), prepare(t, mysqlAt(second, " role=Primary"))}
	read := []probes.Prober{prepare(t, mysqlAt(first, " role=Replica")), prepare(t, mysqlAt(second, " role=Replica maxLag=30s"))}
	expect(t, write[0], probes.SuccessResult())
	expect(t, read[0], probes.IneligibleResult(probes.ReasonRole))
	expect(t, write[1], probes.IneligibleResult(probes.ReasonRole))
	expect(t, read[1], probes.SuccessResult())

	first.Exec("SET GLOBAL read_only = ON")
	second.Promote()
	first.Follow(second)
	expect(t, write[0], probes.IneligibleResult(probes.ReasonRole))
	expect(t, read[0], probes.SuccessResult())
	expect(t, write[1], probes.SuccessResult())
	expect(t, read[1], probes.IneligibleResult(probes.ReasonRole))
}

func TestMySQLLag(t *testing.T) {
	t.Parallel() // it waits for servers
	primary, replica := startMariaDB(t), startMariaDB(t)
	primary.Exec("CREATE TABLE mysql.jobs (id int)")
	replica.Follow(primary)
	prober := prepare(t, mysqlAt(replica, " role=Replica maxLag=2s"))
	expect(t, prober, probes.SuccessResult())
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got := probeOnce(t, prober, probetest.Ample); got != probes.SuccessResult() {
			t.Fatalf("while nobody writes: got %+v", got)
		}
	}

	replica.Exec("STOP SLAVE SQL_THREAD")
	primary.Exec("INSERT INTO mysql.jobs VALUES (1)")
	expect(t, prober, probes.FailureResult(probes.ReasonLag))
	if got, want := result(t, mysqlAt(replica, " maxLag=1h"), probetest.Ample), probes.FailureResult(probes.ReasonLag); got != want {
		t.Errorf("found stopped: got %+v, want %+v", got, want)
	}
	replica.Exec("START SLAVE SQL_THREAD")
	expect(t, prober, probes.SuccessResult())

	replica.Exec("STOP SLAVE; RESET SLAVE ALL")
	if got, want := result(t, mysqlAt(replica, " role=Replica maxLag=1h"), probetest.Ample), probes.FailureResult(probes.ReasonLag); got != want {
		t.Errorf("a replica of nobody: got %+v, want %+v", got, want)
	}
}

func TestMySQLFull(t *testing.T) {
	t.Parallel() // it waits for servers
	server := startMariaDB(t, "--max-connections=10")
	login, nobody := prepare(t, mysqlAt(server, "")), prepare(t, at(server.Address(), "mysql://"))
	release := server.Occupy()
	for _, prober := range []probes.Prober{login, nobody} {
		if got, want := probeOnce(t, prober, probetest.Ample), probes.FailureResult(probes.ReasonTooManyConnections); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	release()
	expect(t, login, probes.SuccessResult())
}

func TestMySQLStoppedAndFrozen(t *testing.T) {
	server := startMariaDB(t)
	testStoppedAndFrozen(t, server.Server, mysqlAt(server, ""))
}

func TestMySQLTLS(t *testing.T) {
	t.Parallel() // it waits for servers
	ca := probetest.NewAuthority(t)
	start := func(spoil ...func(*x509.Certificate)) *servers.MariaDB {
		server := servers.NewMariaDB(t).WithTLS(inPEM(t, ca.Issue(t, spoil...)), string(ca.Bundle()))
		server.Start()
		server.Exec("CREATE USER probe IDENTIFIED BY 'hunter2'; CREATE USER encrypted IDENTIFIED BY 'hunter2' REQUIRE SSL; CREATE USER certified REQUIRE X509")
		return server
	}
	good, old, others := start(), start(probetest.Expired), start(probetest.ForOthers)
	trusting, named := &transport.TLSSettings{CABundle: ca.Bundle()}, &transport.TLSSettings{CABundle: ca.Bundle(), ServerName: "legacy.example"}
	for _, test := range []struct {
		name     string
		server   *servers.MariaDB
		settings *transport.TLSSettings
		query    string
		want     probes.Result
	}{
		{"by default", others, nil, "", probes.SuccessResult()},
		{"disabled", good, trusting, " sslMode=Disable", probes.FailureResult(probes.ReasonAuthentication)},
		{"preferred", old, nil, " sslMode=Prefer", probes.SuccessResult()},
		{"unverified", others, nil, " sslMode=Require", probes.SuccessResult()},
		{"verified", good, trusting, " sslMode=VerifyFull", probes.SuccessResult()},
		{"verified by default", good, trusting, " role=Primary", probes.SuccessResult()},
		{"verified by name", good, named, "", probes.SuccessResult()},
		{"for others", others, trusting, "", probes.FailureResult(probes.ReasonCertificate)},
		{"expired", old, trusting, "", probes.FailureResult(probes.ReasonCertificate)},
		{"unknown authority", good, nil, " sslMode=VerifyFull", probes.FailureResult(probes.ReasonCertificate)},
		{"another authority", good, &transport.TLSSettings{CABundle: probetest.NewAuthority(t).Bundle()}, "", probes.FailureResult(probes.ReasonCertificate)},
		{"anything goes", old, &transport.TLSSettings{InsecureSkipVerify: true}, "", probes.SuccessResult()},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := loginAt(test.server.Address(), "mysql://"+test.query, "encrypted", "hunter2")
			def.TLS = test.settings
			prober := prepare(t, def)
			for range 2 { // the second handshake may resume what the first has begun
				if got := probeOnce(t, prober, probetest.Ample); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			}
		})
	}
	t.Run("certificate", func(t *testing.T) {
		def := at(good.Address(), "mysql://certified@ role=Primary")
		ours := ca.Issue(t, probetest.ForClients)
		def.TLS = &transport.TLSSettings{CABundle: ca.Bundle(), ClientCertificate: &ours}
		if got := result(t, def, probetest.Ample); got != probes.SuccessResult() {
			t.Errorf("got %+v", got)
		}
		def.TLS = trusting
		if got, want := result(t, def, probetest.Ample), probes.FailureResult(probes.ReasonAuthentication); got != want {
			t.Errorf("without: got %+v, want %+v", got, want)
		}
	})
}

func TestMySQLURLsRefused(t *testing.T) {
	testURLsRefused(t, &Credentials{Username: "bob", Password: "hunter2"}, map[string]string{
		"mysql:///app/more":               "healthCheckURL has more in its path than the name of a database",
		"mysql:// role=master":            "healthCheck.mysql.role is unknown: write Primary or Replica",
		"mysql:// role=Primary maxLag=1s": "healthCheck.mysql has maxLag with role: Primary",
		"mysql:// sslMode=VerifyCA":       "healthCheck.mysql.sslMode is unknown: write Disable, Prefer, Require or VerifyFull",
		"mysql://?allowAllFiles=true":     "healthCheckURL: mysql URLs take no parameters: write healthCheck.mysql.role, maxLag or sslMode instead",
		"mysql://alice@/app":              "healthCheckURL has another user than the Secret in healthCheck.credentialsSecretRef",
		"mysql://bob:hunter2@/app":        "healthCheckURL contains a password",
		"mysql:///app%00":                 "healthCheckURL has more in its path than the name of a database",
	})
	testURLsRefused(t, &Credentials{Username: "bob", Password: "hunter2\x00"}, map[string]string{
		"mysql://": "healthCheckURL or the Secret in healthCheck.credentialsSecretRef has a zero byte",
	})
	testURLsRefused(t, nil, map[string]string{
		"mysql:// role=Primary": "healthCheck.mysql has a check that needs a login: write mysql://user@host",
	})
	def := Definition{URL: "mysql://192.0.2.10:1/", MySQL: &MySQLSettings{SSLMode: SSLVerifyFull}, TLS: &transport.TLSSettings{InsecureSkipVerify: true}}
	if _, err := NewRegistry(transport.NewDialer(loopback)).New(def); err == nil || !strings.Contains(err.Error(), "has sslMode: VerifyFull, and healthCheck.tls has insecureSkipVerify") {
		t.Errorf("got %v", err)
	}
}

func benchmarkMySQLProbe(b *testing.B) {
	server := startMariaDB(b)
	for _, query := range []string{"", " role=Primary", " maxLag=1s"} {
		b.Run("login"+strings.Replace(query, " ", "?", 1), func(b *testing.B) { benchmark(b, mysqlAt(server, query)) })
	}
}
