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

package probetest

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"farpoint.dev/farpoint/test/servers"
)

// InNamespace runs the test that calls it in a process of its own, in a new network
// namespace, where it may do as it likes with addresses and sysctls. It returns true
// there, and false where the test is to end.
func InNamespace(t *testing.T) bool {
	t.Helper()
	const inside = "FARPOINT_TEST_IN_NAMESPACE"
	if os.Getenv(inside) != "" {
		IP(t, "link", "set", "lo", "up")
		return true
	}
	servers.Program(t, "ip")
	test := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m", "-test.parallel=16")
	test.Env = append(os.Environ(), inside+"=true")
	test.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		test.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		test.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		test.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	var output bytes.Buffer
	test.Stdout, test.Stderr = &output, &output
	err := test.Start()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("no network namespace for this test (%v): run it as root, or allow user namespaces", err)
	}
	if err == nil {
		err = test.Wait()
	}
	if err != nil {
		t.Errorf("in a network namespace: %v\n%s", err, &output)
	}
	return false
}

// IP runs the ip command.
func IP(t testing.TB, args ...string) {
	t.Helper()
	if output, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// Sysctl sets a kernel parameter below net.
func Sysctl(t testing.TB, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}
