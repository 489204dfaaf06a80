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
	"fmt"
	"net/netip"
	"strconv"
	"syscall"
)

// NewPgBouncer prepares a pooler before a PostgreSQL server. The authentication is that of
// its clients, an auth_type such as trust or scram-sha-256. users are the lines of its
// userlist; a user without a password logs in to the server without one.
func NewPgBouncer(t TB, database netip.AddrPort, authentication string, users ...string) *Server {
	t.Helper()
	s := newServer(t, Program(t, "pgbouncer"), syscall.SIGINT)
	list := ""
	for _, line := range users {
		list += line + "\n"
	}
	config := fmt.Sprintf("[databases]\n* = host=%s port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\n"+
		"auth_type = %s\nauth_file = %s\npool_mode = transaction\nserver_login_retry = 0.1\n",
		database.Addr(), database.Port(), strconv.Itoa(int(s.address.Port())), authentication, s.write("users", list))
	s.args = []string{s.write("pgbouncer.ini", config)}
	return s
}
