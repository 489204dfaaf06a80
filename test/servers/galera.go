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

package servers

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// NewGalera prepares a node of a Galera cluster, which the first node begins and each other
// one joins: first is nil for the first. Nodes are started one after the other.
func NewGalera(t TB, first *MariaDB, settings ...string) *MariaDB {
	t.Helper()
	library := Program(t, "libgalera_smm.so")
	Program(t, "rsync") // by which a node that joins gets its data
	replication, incremental, state := freePort(t), freePort(t), freePort(t)
	members := ""
	if first != nil {
		members = first.galera
	}
	node := NewMariaDB(t, append([]string{
		"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-on=ON", "--wsrep-provider=" + library,
		"--wsrep-cluster-address=gcomm://" + members, "--wsrep-node-address=" + replication.String(),
		"--wsrep-sst-method=rsync", "--wsrep-sst-receive-address=" + state.String(),
		// A node that is killed is missed within two seconds.
		fmt.Sprintf("--wsrep-provider-options=gmcast.listen_addr=tcp://%s;ist.recv_addr=%s;gcache.size=8M;"+
			"evs.suspect_timeout=PT1S;evs.inactive_timeout=PT2S;evs.inactive_check_period=PT0.2S;evs.keepalive_period=PT0.3S", replication, incremental),
	}, settings...)...)
	node.galera = replication.String()
	return node
}

// AwaitStatus waits until the server's status variable has this value, as its superuser sees
// it.
func (m *MariaDB) AwaitStatus(name, value string) {
	m.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		got, err := m.status(name)
		if err == nil && strings.EqualFold(got, value) {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s is finally %q (%v), and not %q", name, got, err, value)
		}
	}
}

func (m *MariaDB) status(name string) (value string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = m.root.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE '"+name+"'").Scan(&name, &value)
	return value, err
}
