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
	"bytes"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/test/servers"
)

func TestICMPProbe(t *testing.T) {
	if !probetest.InNamespace(t) {
		return
	}
	resolving(t, always("127.0.0.1"))
	probe := func(url string, timeout time.Duration, want probes.Result) {
		t.Helper()
		if got := result(t, Definition{URL: url}, timeout); got != want {
			t.Errorf("%s: got %+v, want %+v", url, got, want)
		}
	}
	six := "icmp://[::1]"
	if probetest.Ipv6Loopback(t) != "[::1]:0" {
		six = "icmp://127.0.0.1"
	}
	// A new namespace lets nobody.
	probe("icmp://127.0.0.1", probetest.Ample, probes.UnknownResult(probes.ReasonICMPForbidden))
	probe(six, probetest.Ample, probes.UnknownResult(probes.ReasonICMPForbidden))

	probetest.Sysctl(t, "ipv4/ping_group_range", "0 0") // lets the group root
	probe("icmp://127.0.0.1", probetest.Ample, probes.SuccessResult())
	probe(six, probetest.Ample, probes.SuccessResult())
	probe("icmp://legacy.example", probetest.Ample, probes.SuccessResult())
	if got := result(t, Definition{URL: "icmp://", Address: netip.MustParseAddr("127.0.0.2"), Port: 8080}, probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("the endpoint's own address: got %+v", got)
	}

	resolving(t, always("169.254.169.254"))
	probe("icmp://legacy.example", probetest.Ample, probes.FailureResult(probes.ReasonAddressRefused))
	probe("icmp://198.51.100.1", probetest.Ample, probes.UnknownResult(probes.ReasonNetworkUnreachable))
	probetest.IP(t, "route", "add", "unreachable", "192.0.2.9/32")
	probe("icmp://192.0.2.9", probetest.Ample, probes.UnknownResult(probes.ReasonNetworkUnreachable)) // it is our own route
	probetest.IP(t, "route", "add", "192.0.2.10/32", "dev", "lo")                                     // where nobody has it
	probe("icmp://192.0.2.10", probetest.Brief, probes.FailureResult(probes.ReasonTimeout))
	underWay := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { close(underWay) })
	testCanceled(t, Definition{URL: "icmp://192.0.2.10"}, underWay)

	probetest.Sysctl(t, "ipv4/icmp_echo_ignore_all", "1")
	probe("icmp://127.0.0.1", probetest.Brief, probes.FailureResult(probes.ReasonTimeout))
	probetest.Sysctl(t, "ipv4/icmp_echo_ignore_all", "0")
	probe("icmp://127.0.0.1", probetest.Ample, probes.SuccessResult())
}

// TestICMPRepliesAreOnesOwn: many probes of one host at once, while another one, which is
// silent, gets none of their replies.
func TestICMPRepliesAreOnesOwn(t *testing.T) {
	if !probetest.InNamespace(t) {
		return
	}
	probetest.Sysctl(t, "ipv4/ping_group_range", "0 0")
	probetest.IP(t, "route", "add", "192.0.2.10/32", "dev", "lo") // where nobody has it
	var count sync.WaitGroup
	unanswered := prepare(t, Definition{URL: "icmp://192.0.2.10"})
	count.Go(func() {
		if got, want := probeOnce(t, unanswered, time.Second), probes.FailureResult(probes.ReasonTimeout); got != want {
			t.Errorf("silent: got %+v, want %+v", got, want)
		}
	})
	for range 100 {
		prober := prepare(t, Definition{URL: "icmp://127.0.0.1"})
		count.Go(func() {
			for range 20 {
				if got := probeOnce(t, prober, probetest.Ample); got != probes.SuccessResult() {
					t.Errorf("got %+v", got)
				}
			}
		})
	}
	count.Wait()
}

// TestICMPProbeOfALiar is about a host that replies by rules of its own.
func TestICMPProbeOfALiar(t *testing.T) {
	if !probetest.InNamespace(t) {
		return
	}
	probetest.Sysctl(t, "ipv4/ping_group_range", "0 0")
	probetest.Sysctl(t, "ipv4/icmp_echo_ignore_all", "1")
	right := func(reply []byte) []byte { return reply }
	at := func(index int) func([]byte) []byte {
		return func(reply []byte) []byte { reply[index] ^= 1; return reply }
	}
	short := func(reply []byte) []byte { return reply[:16] }
	long := func(reply []byte) []byte { return append(reply, make([]byte, 1000)...) }
	for _, test := range []struct {
		name    string
		replies []func([]byte) []byte
		timeout time.Duration
		want    probes.Result
	}{
		{"right", []func([]byte) []byte{right}, probetest.Ample, probes.SuccessResult()},
		{"late, behind wrong ones", []func([]byte) []byte{at(1), at(7), at(8), at(23), short, right}, probetest.Ample, probes.SuccessResult()},
		{"another code", []func([]byte) []byte{at(1)}, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"another identifier", []func([]byte) []byte{at(5)}, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"another sequence number", []func([]byte) []byte{at(7)}, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"other data", []func([]byte) []byte{at(23)}, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"short", []func([]byte) []byte{short}, probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"flood", append(make([]func([]byte) []byte, 0), repeat(at(23), resolver.MaxStrays+1)...), probetest.Ample, probes.FailureResult(probes.ReasonProtocol)},
		{"long, and right at its beginning", []func([]byte) []byte{long}, probetest.Ample, probes.SuccessResult()},
	} {
		t.Run(test.name, func(t *testing.T) {
			lie(t, test.replies)
			if got := result(t, Definition{URL: "icmp://127.0.0.1"}, test.timeout); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func repeat(reply func([]byte) []byte, times int) []func([]byte) []byte {
	var replies []func([]byte) []byte
	for range times {
		replies = append(replies, reply)
	}
	return replies
}

// lie answers echo requests to 127.0.0.1 until the test ends.
func lie(t *testing.T, replies []func([]byte) []byte) {
	t.Helper()
	conn, err := net.ListenIP("ip4:icmp", &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var lying sync.WaitGroup
	lying.Go(func() {
		message := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromIP(message)
			if err != nil {
				return
			}
			if message[0] != echoRequest4 {
				continue
			}
			for _, change := range replies {
				reply := bytes.Clone(message[:n])
				reply[0], reply[2], reply[3] = echoReply4, 0, 0
				reply = change(reply)
				sum := checksum(reply)
				reply[2], reply[3] = byte(sum>>8), byte(sum)
				if _, err := conn.WriteToIP(reply, from); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		lying.Wait()
	})
}

// checksum is that of RFC 1071.
func checksum(message []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(message); i += 2 {
		sum += uint32(message[i])<<8 | uint32(message[i+1])
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func benchmarkICMPProbe(b *testing.B) {
	runtime.LockOSThread() // for good: the thread with its namespace ends with the benchmark
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		b.Skipf("no network namespace for this benchmark (%v): run it as root", err)
	}
	servers.Program(b, "ip")
	probetest.IP(b, "link", "set", "lo", "up")
	probetest.Sysctl(b, "ipv4/ping_group_range", "0 0")
	benchmark(b, Definition{URL: "icmp://127.0.0.1"})
}
