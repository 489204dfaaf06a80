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

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/test/servers"
)

// A node that has lost its cluster still lets people in and answers pings, and refuses what
// they came for.
func TestMySQLProbe_GaleraNodeWithoutQuorum_IsNotAccepting(t *testing.T) {
	t.Parallel() // it waits for servers
	first := servers.NewGalera(t, nil)
	first.Start()
	first.AwaitStatus("wsrep_ready", "ON")
	first.Exec("CREATE USER probe IDENTIFIED BY 'hunter2'; GRANT REPLICA MONITOR, SLAVE MONITOR ON *.* TO probe; CREATE DATABASE app; GRANT ALL ON app.* TO probe")
	second := servers.NewGalera(t, first)
	second.Start()
	second.AwaitStatus("wsrep_ready", "ON")
	asking := []string{"", "/app", " role=Primary", " maxLag=10s"}
	for _, query := range asking {
		for _, node := range []*servers.MariaDB{first, second} {
			expect(t, prepare(t, mysqlAt(node, query)), probes.SuccessResult())
		}
	}

	first.Exec("SET GLOBAL wsrep_reject_queries = ALL")
	for _, query := range asking {
		expect(t, prepare(t, mysqlAt(first, query)), probes.FailureResult(probes.ReasonNotAccepting))
	}

	first.Kill()
	second.AwaitStatus("wsrep_ready", "OFF")
	for _, query := range append(asking, " role=Replica") {
		expect(t, prepare(t, mysqlAt(second, query)), probes.FailureResult(probes.ReasonNotAccepting))
	}
	if got := result(t, at(second.Address(), "mysql://"), probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("without a user it cannot be known, which the guide says: got %+v", got)
	}

	second.Exec("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=1'")
	for _, query := range asking {
		expect(t, prepare(t, mysqlAt(second, query)), probes.SuccessResult())
	}
}

// Every MariaDB says wsrep_ready=OFF that is no node of a cluster.
func TestMySQLProbe_MariaDBWithoutGalera_Passes(t *testing.T) {
	t.Parallel() // it waits for servers
	server := startMariaDB(t)
	for _, query := range []string{"", " role=Primary", " maxLag=10s"} {
		if got := result(t, mysqlAt(server, query), probetest.Ample); got != probes.SuccessResult() {
			t.Errorf("%s: got %+v", query, got)
		}
	}
	for setting, want := range map[string]probes.Result{"tx_read_only": probes.FailureResult(probes.ReasonReadOnly), "read_only": probes.IneligibleResult(probes.ReasonRole)} {
		server.Exec("SET GLOBAL " + setting + " = ON")
		if got := result(t, mysqlAt(server, " role=Primary"), probetest.Ample); got != want {
			t.Errorf("%s: got %+v, want %+v", setting, got, want)
		}
		server.Exec("SET GLOBAL " + setting + " = OFF")
	}
}
