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
	"os"
	"path/filepath"
	"syscall"
)

// Nginx is an nginx in one process.
type Nginx struct{ *Server }

// NewNginx prepares an nginx that serves nothing yet.
func NewNginx(t TB) *Nginx {
	t.Helper()
	n := &Nginx{newServer(t, Program(t, "nginx"), syscall.SIGTERM)}
	n.args = []string{"-p", n.folder, "-e", "stderr", "-c", filepath.Join(n.folder, "nginx.conf")}
	return n
}

// File makes a file that nginx may read, and returns its path.
func (n *Nginx) File(content string) string {
	n.t.Helper()
	there, err := os.ReadDir(n.folder)
	if err != nil {
		n.t.Fatalf("%v", err)
	}
	return n.write(fmt.Sprintf("file-%d", len(there)), content)
}

// TLS are the lines of a server block that make nginx show a certificate.
func (n *Nginx) TLS(pair KeyPair) string {
	n.t.Helper()
	return fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s;", n.File(pair.Certificate), n.File(pair.Key))
}

// Serve starts nginx with these server blocks. address is one on which they listen.
func (n *Nginx) Serve(address netip.AddrPort, blocks string) {
	n.t.Helper()
	n.address = address
	n.write("nginx.conf", fmt.Sprintf(`
daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	%[2]s
}
`, n.folder, blocks))
	n.Start()
}
