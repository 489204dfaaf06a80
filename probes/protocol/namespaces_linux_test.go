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
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"farpoint.dev/farpoint/probes/probetest"
)

// testNamespace is a network namespace that ends with the test's process.
type testNamespace struct{ file *os.File }

func currentNamespace(t *testing.T) *testNamespace {
	t.Helper()
	file, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return &testNamespace{file}
}

// newTestNamespace makes a namespace whose loopback is up.
func newTestNamespace(t *testing.T) *testNamespace {
	t.Helper()
	created := make(chan *testNamespace)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			close(created)
			return
		}
		created <- currentNamespace(t)
	}()
	namespace := <-created
	if namespace == nil {
		t.FailNow()
	}
	namespace.ip(t, "link set lo up")
	return namespace
}

// path is where other processes find the namespace.
func (n *testNamespace) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// do calls the function on a thread that is in the namespace, and that nobody uses later.
func (n *testNamespace) do(t *testing.T, work func() error) {
	t.Helper()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			failed <- err
			return
		}
		failed <- work()
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

func (n *testNamespace) run(t *testing.T, name string, args ...string) { n.feed(t, "", name, args...) }

func (n *testNamespace) feed(t *testing.T, stdin, name string, args ...string) {
	t.Helper()
	n.do(t, func() error {
		command := exec.Command(name, args...)
		command.Stdin = strings.NewReader(stdin)
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, stdin, output)
		}
		return nil
	})
}

// ip carries out commands of iproute2.
func (n *testNamespace) ip(t *testing.T, commands ...string) {
	t.Helper()
	n.feed(t, strings.Join(commands, "\n"), "ip", "-batch", "-")
}

func (n *testNamespace) nft(t *testing.T, rules string) {
	t.Helper()
	n.feed(t, rules, "nft", "-f", "-")
}

func (n *testNamespace) sysctl(t *testing.T, name, value string) {
	t.Helper()
	n.do(t, func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) })
}

// serve answers HTTP on port 80, and DNS on port 53, of an address.
func (n *testNamespace) serve(t *testing.T, address string) {
	t.Helper()
	n.do(t, func() error {
		web, err := (&net.ListenConfig{Control: freeBind}).Listen(t.Context(), "tcp", net.JoinHostPort(address, "80"))
		if err != nil {
			return err
		}
		t.Cleanup(func() { web.Close() })
		go func() {
			for {
				conn, err := web.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					probetest.Closing(probetest.Responding(probetest.Well))(conn)
				}()
			}
		}()
		return serveDNS(t, address)
	})
}

func serveDNS(t *testing.T, address string) error {
	packets, err := (&net.ListenConfig{Control: freeBind}).ListenPacket(context.Background(), "udp", net.JoinHostPort(address, "53"))
	if err != nil {
		return err
	}
	t.Cleanup(func() { packets.Close() })
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			var query, answer dns.Msg
			if query.Unpack(buffer[:n]) != nil {
				continue
			}
			answer.SetReply(&query)
			record, err := dns.NewRR(query.Question[0].Name + " 60 IN A 192.0.2.1")
			if err != nil {
				continue
			}
			answer.Answer = append(answer.Answer, record)
			if packed, err := answer.Pack(); err == nil {
				_, _ = packets.WriteTo(packed, from)
			}
		}
	}()
	return nil
}

// freeBind lets a server bind to an address that is about to be there.
func freeBind(_, _ string, conn syscall.RawConn) error {
	return conn.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_FREEBIND, 1) })
}
