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
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// pipe is one end of a net.Pipe in place of a TCP connection.
type pipe struct{ net.Conn }

func (pipe) SetNoDelay(bool) error                        { return nil }
func (pipe) SetKeepAliveConfig(net.KeepAliveConfig) error { return nil }
func (pipe) CloseWrite() error                            { return nil }

// handshakeOver makes one handshake of the client with a server that says "ok" after it.
func handshakeOver(t *testing.T, client *transport.TLSClient, config *tls.Config) (resumed bool, err error) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	defer ours.Close()
	_ = ours.SetDeadline(time.Now().Add(time.Second)) // both write at once when one refuses
	go func() { _, _ = io.WriteString(tls.Server(theirs, config), "ok") }()
	conn, err := client.Handshake(t.Context(), pipe{ours})
	if err != nil {
		return false, err
	}
	_, err = io.ReadFull(conn, make([]byte, 2)) // and the session ahead of it
	return conn.ConnectionState().DidResume, err
}

// TestTLSClient_ProbesAtAnyInterval_NoticeAReplacedCertificate counts by time where that is
// sooner than counting probes.
func TestTLSClient_ProbesAtAnyInterval_NoticeAReplacedCertificate(t *testing.T) {
	for _, test := range []struct {
		interval time.Duration
		// resumed: some handshakes before the replacement are.
		resumed bool
		// latest is how many probes after the replacement notice it at the latest.
		latest int
	}{
		{time.Second, true, 20},
		{30 * time.Second, true, 20},
		{4 * time.Minute, true, 3},
		{9 * time.Minute, true, 2},
		{10 * time.Minute, false, 1},
	} {
		t.Run(test.interval.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := probetest.NewAuthority(t)
				good, bad := ca.Issue(t), ca.Issue(t, probetest.ForOthers)
				config := &tls.Config{Certificates: []tls.Certificate{good}}
				client, err := transport.NewDialer(loopback).NewTLSClient(&transport.TLSSettings{CABundle: ca.Bundle()}, "127.0.0.1")
				if err != nil {
					t.Fatal(err)
				}
				resumed := false
				for range 4 {
					time.Sleep(test.interval)
					didResume, err := handshakeOver(t, client, config)
					if err != nil {
						t.Fatal(err)
					}
					resumed = resumed || didResume
				}
				if resumed != test.resumed {
					t.Errorf("sessions were resumed: %v", resumed)
				}
				replaced := config.Clone() // the key of the tickets is the same
				replaced.Certificates = []tls.Certificate{bad}
				for range test.latest {
					time.Sleep(test.interval)
					if _, err = handshakeOver(t, client, replaced); err != nil {
						break
					}
				}
				if refused := new(tls.CertificateVerificationError); !errors.As(err, &refused) {
					t.Errorf("%d probes later: got %v", test.latest, err)
				}
			})
		})
	}
}
