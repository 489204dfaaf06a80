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
	"regexp"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/servers"
)

func startPostgres(t testing.TB, settings ...string) *servers.Postgres {
	t.Helper()
	server := servers.NewPostgres(t, settings...)
	server.Start()
	server.Exec("CREATE ROLE probe LOGIN PASSWORD 'hunter2'")
	return server
}

// postgresAt is a definition of a probe that logs in as the user that startPostgres makes.
func postgresAt(server *servers.Postgres, query string) Definition {
	return loginAt(server.Address(), "postgres:///postgres"+query, "probe", "hunter2")
}

func asking(query string) string { return " query=" + query }

func TestPostgresLogin(t *testing.T) {
	t.Parallel() // it waits for servers
	server := startPostgres(t,
		"host all trusted 127.0.0.1/32 trust", "host all plain 127.0.0.1/32 password", "host all old 127.0.0.1/32 md5", "host all unwanted 127.0.0.1/32 reject")
	server.Exec("CREATE ROLE trusted LOGIN; CREATE ROLE plain LOGIN PASSWORD 'hunter2'; CREATE ROLE unwanted LOGIN;" +
		" SET password_encryption = md5; CREATE ROLE old LOGIN PASSWORD 'hunter2'")
	here := server.Address()
	for _, test := range []struct {
		name string
		def  Definition
		want probes.Result
	}{
		{"password", postgresAt(server, ""), probes.SuccessResult()},
		{"user in the URL", loginAt(here, "postgres://probe@/postgres", "", "hunter2"), probes.SuccessResult()},
		{"password in clear text", loginAt(here, "postgres:///postgres", "plain", "hunter2"), withheldBy(probes.LoginPostgresPassword)},
		{"password by MD5", loginAt(here, "postgres:///postgres", "old", "hunter2"), withheldBy(probes.LoginPostgresMD5)},
		{"wrong password", loginAt(here, "postgres:///postgres", "probe", "hunter3"), probes.FailureResult(probes.ReasonAuthentication)},
		{"wrong password in clear text", loginAt(here, "postgres:///postgres", "plain", "hunter3"), withheldBy(probes.LoginPostgresPassword)},
		{"no password, although it is asked for in clear text", at(here, "postgres://plain@/postgres"), probes.FailureResult(probes.ReasonAuthentication)},
		{"no password", at(here, "postgres://probe@/postgres"), probes.FailureResult(probes.ReasonAuthentication)},
		{"nobody known", loginAt(here, "postgres:///postgres", "stranger", "hunter2"), probes.FailureResult(probes.ReasonAuthentication)},
		{"somebody unwanted", at(here, "postgres://unwanted@/postgres"), probes.FailureResult(probes.ReasonAuthentication)},
		{"somebody trusted", at(here, "postgres://trusted@/postgres role=Primary"), probes.SuccessResult()},
		{"no such database", loginAt(here, "postgres:///nowhere", "probe", "hunter2"), probes.FailureResult(probes.ReasonServerError)},
		{"no database of the user's name", loginAt(here, "postgres://", "probe", "hunter2"), probes.FailureResult(probes.ReasonServerError)},
		{"nobody", at(here, "postgres://"), probes.SuccessResult()},
		{"nobody, with a database", at(here, "postgres:///nowhere"), probes.SuccessResult()},
		{"without TLS", postgresAt(server, " sslMode=Disable"), probes.SuccessResult()},
		{"with TLS that it lacks", postgresAt(server, " sslMode=Require"), probes.FailureResult(probes.ReasonTLSHandshake)},
		{"nobody, with TLS that it lacks", at(here, "postgres:// sslMode=VerifyFull"), probes.FailureResult(probes.ReasonTLSHandshake)},
		{"primary", postgresAt(server, " role=Primary"), probes.SuccessResult()},
		{"replica", postgresAt(server, " role=Replica"), probes.IneligibleResult(probes.ReasonRole)},
		{"lag of a primary", postgresAt(server, " maxLag=1ms"), probes.SuccessResult()},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := result(t, test.def, probetest.Ample); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestPostgresQuery(t *testing.T) {
	t.Parallel() // it waits for servers
	server := startPostgres(t)
	server.Exec("CREATE TABLE jobs (id int); GRANT ALL ON jobs TO probe")
	for _, test := range []struct {
		name, query string
		want        probes.Result
	}{
		{"true", "SELECT count(*) = 0 FROM jobs", probes.SuccessResult()},
		{"false", "SELECT count(*) > 0 FROM jobs", probes.FailureResult(probes.ReasonQuery)},
		{"NULL", "SELECT NULL::boolean", probes.FailureResult(probes.ReasonQuery)},
		{"no boolean", "SELECT 't'", probes.FailureResult(probes.ReasonQuery)},
		{"no row", "SELECT true FROM jobs", probes.FailureResult(probes.ReasonQuery)},
		{"two rows", "VALUES (true), (true)", probes.FailureResult(probes.ReasonQuery)},
		{"two columns", "SELECT true, true", probes.FailureResult(probes.ReasonQuery)},
		{"no table", "SELECT true FROM nothing", probes.FailureResult(probes.ReasonQuery)},
		{"no SQL", "true", probes.FailureResult(probes.ReasonQuery)},
		{"nothing to run", " ", probes.FailureResult(probes.ReasonQuery)},
		{"two statements", "SELECT true; SELECT true", probes.FailureResult(probes.ReasonQuery)},
		{"a write", "INSERT INTO jobs VALUES (1) RETURNING true", probes.FailureResult(probes.ReasonQuery)},
		{"a hidden write", "WITH w AS (DELETE FROM jobs RETURNING id) SELECT true", probes.FailureResult(probes.ReasonQuery)},
		{"a write after a commit", "COMMIT; INSERT INTO jobs VALUES (1)", probes.FailureResult(probes.ReasonQuery)},
		{"a way out", "SET TRANSACTION READ WRITE", probes.FailureResult(probes.ReasonQuery)},
		{"another way out", "COMMIT", probes.FailureResult(probes.ReasonQuery)},
		{"no right", "SELECT true FROM pg_authid", probes.FailureResult(probes.ReasonQuery)},
		{"too much", "SELECT repeat('x', 1000000)", probes.FailureResult(probes.ReasonProtocol)},
		{"far too many rows", "SELECT true FROM generate_series(1, 1000000)", probes.FailureResult(probes.ReasonProtocol)},
		{"COPY", "COPY (SELECT true) TO STDOUT", probes.FailureResult(probes.ReasonQuery)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := result(t, postgresAt(server, asking(test.query)), probetest.Ample); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	if got, want := result(t, postgresAt(server, asking("SELECT count(*) = 0 FROM jobs")), probetest.Ample), probes.SuccessResult(); got != want {
		t.Errorf("something was written")
	}
	t.Run("slow", func(t *testing.T) {
		if got, want := result(t, postgresAt(server, asking("SELECT pg_sleep(60) IS NOT NULL")), 500*time.Millisecond), probes.FailureResult(probes.ReasonTimeout); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		// It does not go on without us.
		expect(t, prepare(t, postgresAt(server, asking("SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'probe' AND query <> ''"))), probes.SuccessResult())
	})
}

// The slots of a server are few: no connection outlives its probe, and none ends so that
// the server would write of it in its log.
func TestPostgresIsLeftInPeace(t *testing.T) {
	server := startPostgres(t, "log_min_messages = debug1", "log_connections = on")
	for _, def := range []Definition{
		postgresAt(server, ""), postgresAt(server, " maxLag=1s"), postgresAt(server, asking("SELECT true")), postgresAt(server, asking("false")),
		at(server.Address(), "postgres://"), postgresAt(server, " sslMode=Disable"),
	} {
		for range 5 {
			result(t, def, probetest.Ample)
		}
	}
	alone := "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'farpoint'"
	expect(t, prepare(t, postgresAt(server, asking(alone))), probes.SuccessResult())
	if complaint := regexp.MustCompile(`(?i).*(unexpected EOF|reset by peer|incomplete|could not receive).*`).FindString(server.Log()); complaint != "" {
		t.Errorf("the server complains: %s", complaint)
	}
}

func TestPostgresRoles(t *testing.T) {
	t.Parallel() // it waits for servers
	first := startPostgres(t)
	second := first.Replica()
	second.Start()
	write := []probes.Prober{prepare(t, postgresAt(first, " role=Primary")), prepare(t, postgresAt(second, " role=Primary"))}
	read := []probes.Prober{prepare(t, postgresAt(first, " role=Replica")), prepare(t, postgresAt(second, " role=Replica"))}
	expect(t, write[0], probes.SuccessResult())
	expect(t, read[0], probes.IneligibleResult(probes.ReasonRole))
	expect(t, write[1], probes.IneligibleResult(probes.ReasonRole))
	expect(t, read[1], probes.SuccessResult())

	first.Stop()
	second.Promote()
	first.Follow(second)
	first.Start()
	expect(t, write[0], probes.IneligibleResult(probes.ReasonRole))
	expect(t, read[0], probes.SuccessResult())
	expect(t, write[1], probes.SuccessResult())
	expect(t, read[1], probes.IneligibleResult(probes.ReasonRole))
}

// A primary is what takes writes, whatever the probe's own user may do.
func TestPostgresProbe_PrimaryIsReadOnly_HasAnotherRole(t *testing.T) {
	t.Parallel() // it waits for servers
	server := startPostgres(t)
	server.Exec("ALTER ROLE postgres SET default_transaction_read_only = off") // who changes it back
	primary, replica, lag := prepare(t, postgresAt(server, " role=Primary")), prepare(t, postgresAt(server, " role=Replica")), prepare(t, postgresAt(server, " maxLag=1s"))
	expect(t, primary, probes.SuccessResult())
	for _, change := range []struct{ set, reset string }{
		{"ALTER SYSTEM SET default_transaction_read_only = on", "ALTER SYSTEM RESET default_transaction_read_only"},
		{"ALTER DATABASE postgres SET default_transaction_read_only = on", "ALTER DATABASE postgres RESET default_transaction_read_only"},
		{"ALTER ROLE ALL SET default_transaction_read_only = on", "ALTER ROLE ALL RESET default_transaction_read_only"},
	} {
		server.Exec(change.set)
		server.Exec("SELECT pg_reload_conf()")
		expect(t, primary, probes.FailureResult(probes.ReasonReadOnly))
		expect(t, replica, probes.IneligibleResult(probes.ReasonRole))
		expect(t, lag, probes.SuccessResult())
		server.Exec(change.reset)
		server.Exec("SELECT pg_reload_conf()")
		expect(t, primary, probes.SuccessResult())
	}
	server.Exec("ALTER ROLE probe SET default_transaction_read_only = on")
	if got := result(t, postgresAt(server, " role=Primary"), probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("a user who only reads: got %+v", got)
	}
}

func TestPostgresLag(t *testing.T) {
	t.Parallel() // it waits for servers
	primary := startPostgres(t)
	primary.Exec("CREATE TABLE jobs (id int)")
	replica := primary.Replica()
	replica.Start()
	prober := prepare(t, postgresAt(replica, " role=Replica maxLag=1s"))
	expect(t, prober, probes.SuccessResult())
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got := probeOnce(t, prober, probetest.Ample); got != probes.SuccessResult() {
			t.Fatalf("while nobody writes: got %+v", got)
		}
	}

	replica.Exec("SELECT pg_wal_replay_pause()")
	primary.Exec("INSERT INTO jobs VALUES (1)")
	expect(t, prober, probes.FailureResult(probes.ReasonLag))
	replica.Exec("SELECT pg_wal_replay_resume()")
	expect(t, prober, probes.SuccessResult())

	primary.Stop()
	expect(t, prober, probes.FailureResult(probes.ReasonLag))
	if got := result(t, postgresAt(replica, " role=Replica"), probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("if no lag matters: got %+v", got)
	}
	primary.Start()
	expect(t, prober, probes.SuccessResult())
}

func TestPostgresNotAccepting(t *testing.T) {
	primary := startPostgres(t)
	replica := primary.Replica("hot_standby = off")
	replica.StartListening()
	for _, def := range []Definition{postgresAt(replica, ""), at(replica.Address(), "postgres://")} {
		expect(t, prepare(t, def), probes.FailureResult(probes.ReasonNotAccepting))
	}
}

func TestPostgresFull(t *testing.T) {
	server := startPostgres(t, "max_connections = 4", "superuser_reserved_connections = 1", "max_wal_senders = 0")
	login, nobody := prepare(t, postgresAt(server, "")), prepare(t, at(server.Address(), "postgres://"))
	release := server.Occupy("probe", "hunter2")
	if got, want := probeOnce(t, login, probetest.Ample), probes.FailureResult(probes.ReasonTooManyConnections); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	releaseReserved := server.Occupy("postgres", "")
	for _, prober := range []probes.Prober{login, nobody} {
		if got, want := probeOnce(t, prober, probetest.Ample), probes.FailureResult(probes.ReasonTooManyConnections); got != want {
			t.Errorf("not even for superusers: got %+v, want %+v", got, want)
		}
	}
	release()
	releaseReserved()
	expect(t, login, probes.SuccessResult())
	server.Exec("ALTER ROLE probe CONNECTION LIMIT 0")
	expect(t, login, probes.FailureResult(probes.ReasonTooManyConnections))
}

func TestPostgresStoppedAndFrozen(t *testing.T) {
	server := startPostgres(t)
	testStoppedAndFrozen(t, server.Server, postgresAt(server, ""))
}

// What is in the operator's own environment is none of the users' business.
func TestPostgresEnvironment(t *testing.T) {
	server := startPostgres(t)
	for name, value := range map[string]string{
		"PGPASSWORD": "hunter2", "PGUSER": "probe", "PGHOST": "192.0.2.99", "PGSSLMODE": "verify-full", "PGTARGETSESSIONATTRS": "standby",
		"PGCONNECT_TIMEOUT": "1", "PGAPPNAME": "s3cret", "PGTZ": "s3cret", "PGCHANNELBINDING": "require", "PGREQUIREAUTH": "none",
	} {
		t.Setenv(name, value)
	}
	if got := result(t, postgresAt(server, asking("SELECT application_name = 'farpoint' FROM pg_stat_activity WHERE pid = pg_backend_pid()")), probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("got %+v", got)
	}
	if got, want := result(t, at(server.Address(), "postgres://probe@/postgres"), probetest.Ample), probes.FailureResult(probes.ReasonAuthentication); got != want {
		t.Errorf("without a password: got %+v, want %+v", got, want)
	}
	t.Setenv("PGSERVICE", "s3cret")
	_, err := NewRegistry(transport.NewDialer(loopback)).New(postgresAt(server, ""))
	if err == nil || !strings.Contains(err.Error(), "remove the variables PG...") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

func TestPostgresURLsRefused(t *testing.T) {
	testURLsRefused(t, &Credentials{Username: "bob", Password: "hunter2"}, map[string]string{
		"postgres:///app/more":                "healthCheckURL has more in its path than the name of a database",
		"postgres:///app#part":                "healthCheckURL has more in its path than the name of a database",
		"postgres:// role=master":             "healthCheck.postgres.role is unknown: write Primary or Replica",
		"postgres:// maxLag=-1s":              "healthCheck.postgres.maxLag is negative: write a duration such as 30s",
		"postgres:// role=Primary maxLag=1s":  "healthCheck.postgres has maxLag with role: Primary, which has no lag",
		"postgres:// sslMode=allow":           "healthCheck.postgres.sslMode is unknown: write Disable, Prefer, Require, VerifyCA or VerifyFull",
		"postgres:// query=SELECT true\x00":   "healthCheck.postgres.query has a zero byte",
		"postgres://?password=hunter2":        "healthCheckURL: postgres URLs take no parameters: write healthCheck.postgres.role, maxLag, query or sslMode instead",
		"postgres://?sslrootcert=/etc/passwd": "healthCheckURL: postgres URLs take no parameters",
		"postgres://?role=primary":            "healthCheckURL: postgres URLs take no parameters",
		"postgres://?":                        "healthCheckURL: postgres URLs take no parameters",
		"postgres://alice@/app":               "healthCheckURL has another user than the Secret in healthCheck.credentialsSecretRef",
		"postgres://bob:hunter2@/app":         "healthCheckURL contains a password",
		"postgres://169.254.169.254/app":      "healthCheckURL leads to an address that probes may not connect to",
	})
	testURLsRefused(t, &Credentials{Password: "hunter2"}, map[string]string{
		"postgres://": "healthCheck.credentialsSecretRef: the Secret has no username, and the URL no user: add the key, or write postgres://user@host",
	})
	testURLsRefused(t, nil, map[string]string{
		"postgres:///app role=Primary": "healthCheck.postgres has a check that needs a login: write postgres://user@host",
		"postgres:///app maxLag=1s":    "healthCheck.postgres has a check that needs a login",
		"postgres:///app query=true":   "healthCheck.postgres has a check that needs a login",
	})
	def := Definition{URL: "postgres://192.0.2.10:1/", Postgres: &PostgresSettings{SSLMode: SSLVerifyCA}, TLS: &transport.TLSSettings{InsecureSkipVerify: true}}
	if _, err := NewRegistry(transport.NewDialer(loopback)).New(def); err == nil || !strings.Contains(err.Error(), "has sslMode: VerifyCA, and healthCheck.tls has insecureSkipVerify") {
		t.Errorf("got %v", err)
	}
}

func benchmarkPostgresProbe(b *testing.B) {
	server := startPostgres(b)
	b.Run("login", func(b *testing.B) { benchmark(b, postgresAt(server, " sslMode=Disable")) })
	b.Run("login role=Primary", func(b *testing.B) { benchmark(b, postgresAt(server, " sslMode=Disable role=Primary")) })
	b.Run("no login", func(b *testing.B) { benchmark(b, at(server.Address(), "postgres:// sslMode=Disable")) })
}
