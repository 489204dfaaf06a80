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
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/test/servers"
)

// A pooler answers for itself as long as it can. The guide says which probes get through to
// the database.
func TestPostgresProbe_ThroughPgBouncer(t *testing.T) {
	t.Parallel() // it waits for servers
	database := startPostgres(t, "host all trusted 127.0.0.1/32 trust")
	database.Exec("CREATE ROLE trusted LOGIN")
	trusting := servers.NewPgBouncer(t, database.Address(), "trust", `"trusted" ""`)
	trusting.Start()
	strict := servers.NewPgBouncer(t, database.Address(), "scram-sha-256", `"probe" "hunter2"`)
	strict.Start()
	hashed := servers.NewPgBouncer(t, database.Address(), "md5", `"probe" "hunter2"`)
	hashed.Start()
	through := func(pooler *servers.Server, query string) Definition {
		if pooler == trusting {
			return at(pooler.Address(), "postgres://trusted@/postgres"+query)
		}
		return loginAt(pooler.Address(), "postgres:///postgres"+query, "probe", "hunter2")
	}
	reaching := []string{" role=Primary", " maxLag=10s", asking("SELECT true")}
	for _, pooler := range []*servers.Server{trusting, strict} {
		for _, query := range append(reaching, "") {
			expect(t, prepare(t, through(pooler, query)), probes.SuccessResult())
		}
		expect(t, prepare(t, through(pooler, " role=Replica")), probes.IneligibleResult(probes.ReasonRole))
	}
	expect(t, prepare(t, through(hashed, "")), withheldBy(probes.LoginPostgresMD5))

	database.Stop()
	for _, pooler := range []*servers.Server{trusting, strict} {
		if got := result(t, at(pooler.Address(), "postgres://"), probetest.Ample); got != probes.SuccessResult() {
			t.Errorf("without a user: got %+v", got)
		}
		for _, query := range reaching {
			if got := result(t, through(pooler, query), 2*time.Second); got.Outcome != probes.Failure {
				t.Errorf("%s: got %+v while the database is down", query, got)
			}
		}
	}
	expect(t, prepare(t, through(trusting, "")), probes.SuccessResult())
	database.Start()
	for _, query := range reaching {
		expect(t, prepare(t, through(strict, query)), probes.SuccessResult())
	}
}
