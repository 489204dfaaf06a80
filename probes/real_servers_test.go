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

package probes

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The servers of these tests are those that people run. Each test starts its own, with
// its files in a folder of its own and on ports that are free.

// program is the path of a server that a Debian package installs. Where it is missing,
// the test is skipped, but not in CI.
func program(t testing.TB, name, debianPackage string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} { // a user's PATH lacks sbin
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: install the package %s", name, debianPackage)
	}
	t.Skipf("%s is missing: install the package %s to have this tested", name, debianPackage)
	return ""
}

// daemon is a server that runs until the test ends or it is stopped.
type daemon struct {
	t       testing.TB
	command *exec.Cmd
	ended   chan struct{}
}

// run starts a server, which must stay in the foreground, and waits until the place
// accepts connections.
func run(t testing.TB, ready netip.AddrPort, path string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, command: exec.Command(path, args...), ended: make(chan struct{})}
	var said strings.Builder
	d.command.Stdout, d.command.Stderr = &said, &said
	if err := d.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.command.Wait() // that it was killed is no news
		close(d.ended)
	}()
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", path, &said)
		}
	})
	for end := time.Now().Add(ample); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", ready.String(), time.Second)
		if err == nil {
			conn.Close()
			return d
		}
		select {
		case <-d.ended:
			t.Fatalf("%s has ended", path)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen on %s", path, ready)
		}
	}
}

// stop kills the server, frozen or not.
func (d *daemon) stop() {
	_ = d.command.Process.Kill() // it may have ended
	<-d.ended
}

// freeze stops the server from doing anything, while the kernel still takes connections
// for it; thaw lets it go on.
func (d *daemon) freeze() { d.signal(syscall.SIGSTOP) }
func (d *daemon) thaw()   { d.signal(syscall.SIGCONT) }

func (d *daemon) signal(signal os.Signal) {
	d.t.Helper()
	if err := d.command.Process.Signal(signal); err != nil {
		d.t.Fatal(err)
	}
}

// nginx runs nginx with these server blocks, in one process. The place is one on which
// they listen.
func nginx(t testing.TB, ready netip.AddrPort, servers string) *daemon {
	t.Helper()
	path := program(t, "nginx", "nginx")
	folder := t.TempDir()
	config := fmt.Sprintf(`
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
`, folder, servers)
	write(t, filepath.Join(folder, "nginx.conf"), []byte(config))
	return run(t, ready, path, "-p", folder, "-e", "stderr", "-c", filepath.Join(folder, "nginx.conf"))
}

// nginxTLS are the lines that make nginx show the certificate.
func nginxTLS(t testing.TB, certificate tls.Certificate) string {
	t.Helper()
	folder := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	chain, private := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	write(t, chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))
	write(t, private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	return fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s;", chain, private)
}

func write(t testing.TB, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
