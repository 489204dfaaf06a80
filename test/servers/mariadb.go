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
	"database/sql"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// MariaDB is a MariaDB server. Its superuser root needs no password.
type MariaDB struct {
	*Server
	root *sql.DB
	// galera is where a node of a Galera cluster replicates; "" for others.
	galera string
}

// NewMariaDB prepares a MariaDB server. The settings are options of mariadbd.
func NewMariaDB(t TB, settings ...string) *MariaDB {
	t.Helper()
	installer := Program(t, "mariadb-install-db")
	m := &MariaDB{Server: newServer(t, Program(t, "mariadbd"), syscall.SIGTERM)}
	data := filepath.Join(m.folder, "data")
	m.prepare(installer, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db",
		"--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M")
	m.args = append([]string{
		"--no-defaults", "--datadir=" + data, "--socket=" + filepath.Join(m.folder, "socket"), "--pid-file=" + filepath.Join(m.folder, "pid"),
		"--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", m.address.Port()), "--skip-name-resolve",
		"--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M", "--innodb-flush-log-at-trx-commit=0",
		fmt.Sprintf("--server-id=%d", m.address.Port()), "--log-bin=bin",
	}, settings...)
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.MultiStatements = "root", "tcp", m.address.String(), true
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatalf("%v", err)
	}
	m.root = sql.OpenDB(connector)
	m.root.SetMaxIdleConns(0) // it keeps none of the server's connections
	t.Cleanup(func() { _ = m.root.Close() })
	m.ready = func() error { return m.try("SELECT 1") }
	return m
}

// WithTLS makes a server that has not started offer TLS. It asks for no certificate unless
// authorities, in PEM, are given to check it by.
func (m *MariaDB) WithTLS(pair KeyPair, authorities string) *MariaDB {
	m.t.Helper()
	m.args = append(m.args, "--ssl-cert="+m.write("server.crt", pair.Certificate), "--ssl-key="+m.write("server.key", pair.Key))
	if authorities != "" {
		m.args = append(m.args, "--ssl-ca="+m.write("ca.crt", authorities))
	}
	return m
}

// Follow makes the server a replica of another one.
func (m *MariaDB) Follow(primary *MariaDB) {
	m.t.Helper()
	m.Exec(fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='root', MASTER_USE_GTID=slave_pos,"+
		" MASTER_CONNECT_RETRY=1; START SLAVE; SET GLOBAL read_only = ON", primary.address.Port()))
}

// Promote makes a replica a primary.
func (m *MariaDB) Promote() {
	m.t.Helper()
	m.Exec("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = OFF")
}

// Exec has the superuser run SQL.
func (m *MariaDB) Exec(statements string) {
	m.t.Helper()
	if err := m.try(statements); err != nil {
		m.t.Fatalf("%s: %v", statements, err)
	}
}

func (m *MariaDB) try(statements string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := m.root.ExecContext(ctx, statements)
	return err
}

// Occupy takes connections until the server has none left, and returns what gives them
// back.
func (m *MariaDB) Occupy() (release func()) {
	m.t.Helper()
	var conns []*sql.Conn
	for refused := 0; refused < 10; { // see Postgres.Occupy
		conn, err := m.root.Conn(context.Background())
		if err != nil {
			refused++
			time.Sleep(20 * time.Millisecond)
			continue
		}
		refused = 0
		conns = append(conns, conn)
	}
	return func() {
		for _, conn := range conns {
			_ = conn.Close() // it is closed by the server if not by us
		}
	}
}
