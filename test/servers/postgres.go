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
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Postgres is a PostgreSQL server. Its superuser postgres needs no password, all others
// log in by SCRAM unless the settings say otherwise.
type Postgres struct {
	*Server
	// programs is the folder of the server's programs.
	programs string
}

// NewPostgres prepares a PostgreSQL server. The settings are lines of postgresql.conf,
// and, if they begin with host, of pg_hba.conf.
func NewPostgres(t TB, settings ...string) *Postgres {
	t.Helper()
	p := newPostgres(t)
	p.prepare(filepath.Join(p.programs, "initdb"), "--pgdata="+p.data(), "--username", "postgres", "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C")
	p.configure(settings)
	return p
}

func newPostgres(t TB) *Postgres {
	t.Helper()
	path := Program(t, "postgres")
	// SIGINT ends the sessions and brings all WAL to the replicas.
	p := &Postgres{Server: newServer(t, path, syscall.SIGINT), programs: filepath.Dir(path)}
	p.args = []string{"-D", p.data()}
	p.ready = func() error { return p.try("SELECT 1") }
	return p
}

func (p *Postgres) data() string { return filepath.Join(p.folder, "data") }

func (p *Postgres) configure(settings []string) {
	p.t.Helper()
	access := "host all postgres 127.0.0.1/32 trust\nhost replication postgres 127.0.0.1/32 trust\n"
	config := fmt.Sprintf("listen_addresses = '127.0.0.1'\nport = %d\nunix_socket_directories = ''\n"+
		"fsync = off\nshared_buffers = 4MB\nwal_retrieve_retry_interval = 100ms\n", p.address.Port())
	for _, line := range settings {
		if strings.HasPrefix(line, "host") {
			access += line + "\n"
		} else {
			config += line + "\n"
		}
	}
	access += "host all all 127.0.0.1/32 scram-sha-256\n"
	p.write("data/pg_hba.conf", access)
	p.write("data/postgresql.conf", config)
}

// WithTLS makes a server that has not started offer TLS. It asks for no certificate unless
// authorities, in PEM, are given to check it by.
func (p *Postgres) WithTLS(pair KeyPair, authorities string) *Postgres {
	p.t.Helper()
	p.write("data/server.crt", pair.Certificate)
	p.write("data/server.key", pair.Key)
	p.args = append(p.args, "-c", "ssl=on")
	if authorities != "" {
		p.write("data/root.crt", authorities)
		p.args = append(p.args, "-c", "ssl_ca_file=root.crt")
	}
	return p
}

// Replica prepares a streaming replica of this server, which must be running.
func (p *Postgres) Replica(settings ...string) *Postgres {
	p.t.Helper()
	replica := newPostgres(p.t)
	replica.run(filepath.Join(p.programs, "pg_basebackup"), "--pgdata", replica.data(), "--wal-method", "stream", "--checkpoint", "fast",
		"--no-sync", "--host", "127.0.0.1", "--port", fmt.Sprint(p.address.Port()), "--username", "postgres")
	replica.configure(settings)
	replica.Follow(p)
	return replica
}

// Follow makes a server that has been stopped a replica of another one when it starts.
func (p *Postgres) Follow(primary *Postgres) {
	p.t.Helper()
	p.write("data/standby.signal", "")
	p.write("data/postgresql.auto.conf", fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%d user=postgres'\n", primary.address.Port()))
}

// Promote makes a replica a primary.
func (p *Postgres) Promote() {
	p.t.Helper()
	p.Exec("SELECT pg_promote()")
}

// Exec has the superuser run SQL.
func (p *Postgres) Exec(sql string) {
	p.t.Helper()
	if err := p.try(sql); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
}

func (p *Postgres) try(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	session, err := p.connect(ctx, "postgres", "")
	if err != nil {
		return err
	}
	defer session.Close(ctx)
	_, err = session.Exec(ctx, sql).ReadAll()
	return err
}

func (p *Postgres) connect(ctx context.Context, user, password string) (*pgconn.PgConn, error) {
	return pgconn.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=%s password='%s' dbname=postgres sslmode=disable",
		p.address.Port(), user, password))
}

// Occupy takes connections for a user until the server has none left, and returns what
// gives them back.
func (p *Postgres) Occupy(user, password string) (release func()) {
	p.t.Helper()
	ctx := context.Background()
	var sessions []*pgconn.PgConn
	// A session that has been refused or has ended holds its slot for a moment yet, so that
	// one refusal does not say that all are taken.
	for refused := 0; refused < 10; {
		session, err := p.connect(ctx, user, password)
		if err != nil {
			refused++
			time.Sleep(20 * time.Millisecond)
			continue
		}
		refused = 0
		sessions = append(sessions, session)
	}
	return func() {
		for _, session := range sessions {
			session.Close(ctx)
		}
	}
}
