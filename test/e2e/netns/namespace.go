//go:build linux

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

package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// prefix begins the names of all namespaces, followed by the number of the process
	// that made them.
	prefix = "fp-e2e-"
	// namespaces is where `ip netns` keeps them.
	namespaces = "/run/netns"
)

// Namespace is a network namespace. Sockets that are made in it stay in it, whatever
// goroutine uses them later.
type Namespace struct {
	Name string
	file *os.File
}

// newNamespace makes a namespace whose loopback is up and which forwards nothing. The
// name is that of its role, and unique in this process.
func newNamespace(role string) (*Namespace, error) {
	name := fmt.Sprintf("%s%d-%s", prefix, os.Getpid(), role)
	if err := Run(iproute("netns", "add", name), ""); err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(namespaces, name))
	if err != nil {
		return nil, err
	}
	namespace := &Namespace{Name: name, file: file}
	return namespace, namespace.IP("link set lo up")
}

// Remove ends what still runs in the namespace and removes it, its links included.
func (n *Namespace) Remove() error {
	return errors.Join(n.file.Close(), removeNamespace(n.Name))
}

func removeNamespace(name string) error {
	pids, err := iproute("netns", "pids", name).Output()
	if err != nil {
		return fmt.Errorf("list the processes in %s: %w", name, err)
	}
	for _, field := range strings.Fields(string(pids)) {
		if pid, err := strconv.Atoi(field); err == nil && pid != os.Getpid() {
			// It may have ended by itself.
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return Run(iproute("netns", "delete", name), "")
}

// Sweep removes the namespaces of this process, and those that runs have left behind
// which are over.
func Sweep() error {
	var failed []error
	for _, name := range leftovers(namespaces) {
		failed = append(failed, removeNamespace(name))
	}
	return errors.Join(failed...)
}

// leftovers are the names in a folder that begin with our prefix and the number of a
// process that is gone, or of this one.
func leftovers(folder string) []string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // nobody has ever made one
	}
	var names []string
	for _, entry := range entries {
		of, ours := strings.CutPrefix(entry.Name(), prefix)
		number, _, _ := strings.Cut(of, "-")
		pid, err := strconv.Atoi(number)
		if ours && err == nil && (pid == os.Getpid() || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)) {
			names = append(names, entry.Name())
		}
	}
	return names
}

// NewFolder makes a folder for a run's files, and removes those that runs have left
// behind which are over.
func NewFolder() (string, error) {
	for _, name := range leftovers(os.TempDir()) {
		if err := os.RemoveAll(filepath.Join(os.TempDir(), name)); err != nil {
			return "", err
		}
	}
	folder := filepath.Join(os.TempDir(), prefix+strconv.Itoa(os.Getpid()))
	return folder, os.Mkdir(folder, 0o700)
}

// do calls the function on a thread that is in the namespace.
func (n *Namespace) do(work func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", n.Name, err)
	}
	failed := work()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		// Not unlocked: a thread that cannot come home must not serve anybody else.
		return fmt.Errorf("leave namespace %s: %w", n.Name, err)
	}
	runtime.UnlockOSThread()
	return failed
}

// DialContext connects to an IP address and port from inside the namespace.
func (n *Namespace) DialContext(ctx context.Context, network, address string) (connection net.Conn, err error) {
	var dialer net.Dialer
	err = n.do(func() error {
		connection, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return connection, err
}

// Listen opens a TCP port inside the namespace.
func (n *Namespace) Listen(address string) (listener net.Listener, err error) {
	var config net.ListenConfig
	err = n.do(func() error {
		listener, err = config.Listen(context.Background(), "tcp", address)
		return err
	})
	return listener, err
}

// Sysctl sets a kernel parameter below /proc/sys/net of the namespace, such as
// ipv4/ip_forward.
func (n *Namespace) Sysctl(name, value string) error {
	return n.do(func() error { return os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0) })
}

// IP carries out commands of iproute2, one each line, in the namespace.
func (n *Namespace) IP(commands ...string) error {
	return Run(iproute("-netns", n.Name, "-batch", "-"), strings.Join(commands, "\n"))
}

// NFT changes the namespace's packet filter, all in one step.
func (n *Namespace) NFT(rules string) error {
	return Run(n.Command("nft", "-f", "-"), rules)
}

// Command runs in the namespace. What is started is the command itself, and no shell or
// other process between.
func (n *Namespace) Command(name string, arguments ...string) *exec.Cmd {
	return iproute(append([]string{"netns", "exec", n.Name, name}, arguments...)...)
}

func iproute(arguments ...string) *exec.Cmd {
	//nolint:noctx // what is long-lived is ended in its turn, and not by a context
	return exec.Command("ip", arguments...)
}

// Run waits for a short command. Its error has the command's output.
func Run(command *exec.Cmd, stdin string) error {
	command.Stdin = strings.NewReader(stdin)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
