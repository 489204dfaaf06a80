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
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/servers"
)

// expect probes until the result is the wanted one: a server may need a moment to become
// what a test makes it.
func expect(t testing.TB, prober probes.Prober, want probes.Result) {
	t.Helper()
	var got probes.Result
	for end := time.Now().Add(2 * probetest.Ample); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got = probeOnce(t, prober, probetest.Ample); got == want {
			return
		}
	}
	t.Errorf("got %+v to the end, want %+v", got, want)
}

// loginAt is a definition of a probe that logs in.
func loginAt(endpoint netip.AddrPort, url, user, password string) Definition {
	def := at(endpoint, url)
	def.Credentials = &Credentials{Username: user, Password: password}
	return def
}

// openLoginAt is loginAt for schemes that have no other way to log in than to send the
// password.
func openLoginAt(endpoint netip.AddrPort, url, user, password string) Definition {
	def := loginAt(endpoint, url, user, password)
	def.SendCredentialsToUnverifiedServers = true
	return def
}

// inPEM is a certificate as servers read it.
func inPEM(t testing.TB, certificate tls.Certificate) servers.KeyPair {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return servers.KeyPair{
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})),
		Key:         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	}
}

// testOtherProtocols probes servers that are no databases, or hostile ones. The URL has no host
// and port: those of the endpoint are probed.
func testOtherProtocols(t *testing.T, url string) {
	saying := func(text string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
	}
	repeating := func(bytes []byte, pause time.Duration) func(net.Conn) {
		return func(conn net.Conn) {
			for err := error(nil); err == nil; time.Sleep(pause) {
				_, err = conn.Write(bytes)
			}
		}
	}
	noise := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(noise) // never fails
	for _, test := range []struct {
		name     string
		endpoint netip.AddrPort
		timeout  time.Duration
		want     []probes.Reason
	}{
		{"closed", probetest.Refusing(t), probetest.Ample, []probes.Reason{probes.ReasonConnectionRefused}},
		{"black hole", probetest.BlackHole(t), probetest.Brief, []probes.Reason{probes.ReasonTimeout}},
		{"silent", probetest.Serve(t, probetest.Silence), probetest.Brief, []probes.Reason{probes.ReasonTimeout}},
		{"hangs up", probetest.Serve(t, probetest.Closing(probetest.Silence)), probetest.Ample, []probes.Reason{probes.ReasonConnectionClosed}},
		{"resets", probetest.Serve(t, probetest.Aborting(probetest.Silence)), probetest.Ample, []probes.Reason{probes.ReasonConnectionClosed}},
		{"HTTP", probetest.Serve(t, probetest.Closing(saying("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))), probetest.Ample, []probes.Reason{probes.ReasonProtocol}},
		{"SSH", probetest.Serve(t, saying("SSH-2.0-OpenSSH_9.2\r\n")), probetest.Ample, []probes.Reason{probes.ReasonProtocol}},
		{"mail", probetest.Serve(t, saying("220 mail.example ESMTP\r\n")), probetest.Ample, []probes.Reason{probes.ReasonProtocol}},
		{"noise", probetest.Serve(t, repeating(noise, 0)), probetest.Ample, []probes.Reason{probes.ReasonProtocol}},
		{"zeros", probetest.Serve(t, repeating(make([]byte, 1<<20), 0)), probetest.Ample, []probes.Reason{probes.ReasonProtocol}},
		{"slow noise", probetest.Serve(t, repeating([]byte{0x7f}, time.Millisecond)), probetest.Brief, []probes.Reason{probes.ReasonProtocol, probes.ReasonTimeout}},
	} {
		t.Run(test.name, func(t *testing.T) {
			prober := prepare(t, openLoginAt(test.endpoint, url, "probe", "hunter2"))
			var got probes.Result
			allocated := allocatedBy(func() { got = probeOnce(t, prober, test.timeout) })
			if got.Outcome != probes.Failure || !slices.Contains(test.want, got.Reason) {
				t.Errorf("got %+v, want one of %v", got, test.want)
			}
			if allocated > 1<<20 {
				t.Errorf("the probe took %d bytes of memory", allocated)
			}
		})
	}
	t.Run("canceled", func(t *testing.T) {
		accepted := make(chan struct{})
		testCanceled(t, openLoginAt(probetest.Serve(t, func(net.Conn) { close(accepted) }), url, "probe", "hunter2"), accepted)
	})
}

// testStoppedAndFrozen probes a server that is taken through all of it.
func testStoppedAndFrozen(t *testing.T, server *servers.Server, def Definition) {
	t.Helper()
	prober := prepare(t, def)
	expect(t, prober, probes.SuccessResult())
	server.Freeze()
	if got, want := probeOnce(t, prober, probetest.Brief), probes.FailureResult(probes.ReasonTimeout); got != want {
		t.Errorf("frozen: got %+v, want %+v", got, want)
	}
	server.Thaw()
	expect(t, prober, probes.SuccessResult())
	server.Stop()
	if got, want := probeOnce(t, prober, probetest.Ample), probes.FailureResult(probes.ReasonConnectionRefused); got != want {
		t.Errorf("stopped: got %+v, want %+v", got, want)
	}
	server.Start()
	expect(t, prober, probes.SuccessResult())
}

// testURLsRefused prepares probes at 192.0.2.10, which must fail with the beginning of a
// message and without the password.
func testURLsRefused(t *testing.T, login *Credentials, wants map[string]string) {
	t.Helper()
	for url, want := range wants {
		def := Definition{URL: url, Address: netip.MustParseAddr("192.0.2.10"), Credentials: login}
		_, err := NewRegistry(transport.NewDialer(loopback)).New(withFields(t, def))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %s...", url, err, want)
		}
	}
}
