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
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// dialogue alternates between expecting and sending, beginning with what is expected. An empty
// text is no step.
func dialogue(texts ...string) []Step {
	var steps []Step
	for i, text := range texts {
		switch {
		case text == "":
		case i%2 == 0:
			steps = append(steps, Step{Expect: []byte(text)})
		default:
			steps = append(steps, Step{Send: []byte(text)})
		}
	}
	return steps
}

// mailServer greets after a pause, answers commands line by line, and goes over to TLS if it has a
// configuration for that.
func mailServer(config *tls.Config) func(net.Conn) {
	return func(conn net.Conn) {
		time.Sleep(50 * time.Millisecond)
		_, _ = io.WriteString(conn, "220-mail.example\r\n220 ready\r\n")
		lines := bufio.NewReader(conn)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			switch command, _, _ := strings.Cut(strings.TrimSpace(line), " "); command {
			case "EHLO":
				_, _ = io.WriteString(conn, "250-mail.example\r\n250 STARTTLS\r\n")
			case "STARTTLS":
				if config == nil {
					_, _ = io.WriteString(conn, "454 not now\r\n")
					continue
				}
				_, _ = io.WriteString(conn, "220 go ahead\r\n")
				secure := tls.Server(conn, config)
				conn, lines = secure, bufio.NewReader(secure)
			case "QUIT":
				_, _ = io.WriteString(conn, "221 bye\r\n")
			default:
				_, _ = io.WriteString(conn, "500 what?\r\n")
			}
		}
	}
}

func TestTCPProbe_Dialogue(t *testing.T) {
	for _, test := range []struct {
		name     string
		exchange func(net.Conn)
		steps    []Step
		timeout  time.Duration
		want     probes.Result
	}{
		{"greets late", mailServer(nil), dialogue("220 ", "QUIT\r\n", "221 "), probetest.Ample, probes.SuccessResult()},
		{"speaks first", mailServer(nil), dialogue("", "NOOP\r\n", "220 ", "", "500 "), probetest.Ample, probes.SuccessResult()},
		{"another answer", mailServer(nil), dialogue("220 ", "NOOP\r\n", "250 "), probetest.Brief, probes.FailureResult(probes.ReasonContent)},
		{"bytes", probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x80\x00\xff") }), dialogue("\x80", "", "\x00\xff"), probetest.Ample, probes.SuccessResult()},
		{"what is expected twice comes once", probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "220 220") }), dialogue("220", "", "220", "", "220"), probetest.Ample, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"silent", probetest.Silence, dialogue("220", "QUIT", "221"), probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
		{"endless", func(conn net.Conn) {
			for err := error(nil); err == nil; {
				_, err = io.WriteString(conn, strings.Repeat("-", 1<<16))
			}
		}, dialogue("220", "QUIT", "221"), probetest.Ample, probes.FailureResult(probes.ReasonContent)},
		{"drip", func(conn net.Conn) { probetest.Drip(conn, "", "-") }, dialogue("220", "QUIT", "221"), probetest.Brief, probes.FailureResult(probes.ReasonContent)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := at(probetest.Serve(t, test.exchange), "tcp://")
			def.TCP = &TCPSettings{Steps: test.steps}
			if got := result(t, def, test.timeout); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestTLSProbe_StartTLS(t *testing.T) {
	ca := probetest.NewAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}
	says := func(text string) func(net.Conn) {
		return probetest.Closing(func(conn net.Conn) { _, _ = io.WriteString(conn, text); _, _ = conn.Read(make([]byte, 512)) })
	}
	// upgrading answers the first request with a text, and then speaks TLS.
	upgrading := func(first, answer string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = io.WriteString(conn, first)
			if _, err := conn.Read(make([]byte, 512)); err != nil {
				return
			}
			_, _ = io.WriteString(conn, answer)
			probetest.Secure(config, func(conn net.Conn) { _, _ = io.WriteString(conn, "fine") })(conn)
		}
	}
	success := "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
	for _, test := range []struct {
		name     string
		protocol StartTLS
		exchange func(net.Conn)
		steps    []Step
		want     probes.Result
	}{
		{"mail", StartTLSSMTP, mailServer(config), dialogue("", "EHLO a\r\n", "250 ", "QUIT\r\n", "221"), probes.SuccessResult()},
		{"mail without TLS", StartTLSSMTP, mailServer(nil), nil, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"mail that is busy", StartTLSSMTP, says("421 too many\r\n"), nil, probes.FailureResult(probes.ReasonNotAccepting)},
		{"no mail", StartTLSSMTP, says("SSH-2.0-OpenSSH_9.6\r\n"), nil, probes.FailureResult(probes.ReasonProtocol)},
		{"mail that greets without an end", StartTLSSMTP, says(strings.Repeat("220-mail\r\n", 10_000)), nil, probes.FailureResult(probes.ReasonProtocol)},
		{"long line", StartTLSSMTP, says("220 " + strings.Repeat("a", 5000)), nil, probes.FailureResult(probes.ReasonProtocol)},
		{"IMAP", StartTLSIMAP, upgrading("* OK ready\r\n", "* x\r\na OK begin\r\n"), dialogue("fine"), probes.SuccessResult()},
		{"IMAP without TLS", StartTLSIMAP, upgrading("* OK ready\r\n", "a BAD no\r\n"), nil, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"IMAP that closes", StartTLSIMAP, says("* BYE full\r\n"), nil, probes.FailureResult(probes.ReasonNotAccepting)},
		{"LDAP", StartTLSLDAP, upgrading("", success), dialogue("fine"), probes.SuccessResult()},
		{"LDAP with long lengths", StartTLSLDAP, upgrading("", "\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"), dialogue("fine"), probes.SuccessResult()},
		{"LDAP without TLS", StartTLSLDAP, upgrading("", strings.Replace(success, "\x0a\x01\x00", "\x0a\x01\x02", 1)), nil, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"no LDAP", StartTLSLDAP, upgrading("", "HTTP/1.1 400 Bad"), nil, probes.FailureResult(probes.ReasonProtocol)},
		{"PostgreSQL", StartTLSPostgres, upgrading("", "S"), dialogue("fine"), probes.SuccessResult()},
		{"PostgreSQL without TLS", StartTLSPostgres, upgrading("", "N"), nil, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"no PostgreSQL", StartTLSPostgres, upgrading("", "E"), nil, probes.FailureResult(probes.ReasonProtocol)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := at(probetest.Serve(t, test.exchange), "tls://")
			def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
			def.TCP = &TCPSettings{Steps: test.steps, StartTLS: test.protocol}
			if got := result(t, def, probetest.Ample); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// echoing answers datagrams as long as there is an answer to them.
func echoing(t testing.TB, answers map[string]string) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer, ok := answers[string(buffer[:n])]; ok {
				_, _ = conn.WriteTo([]byte(answer), from)
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestUDPProbe(t *testing.T) {
	server := echoing(t, map[string]string{"ping": "it is pong", "second": "\xff\x00"})
	for _, test := range []struct {
		name    string
		steps   []Step
		timeout time.Duration
		want    probes.Result
	}{
		{"answer", dialogue("", "ping", "pong"), probetest.Ample, probes.SuccessResult()},
		{"two answers", dialogue("", "ping", "pong", "second", "\xff"), probetest.Ample, probes.SuccessResult()},
		{"another answer", dialogue("", "ping", "pang"), probetest.Brief, probes.FailureResult(probes.ReasonContent)},
		{"no answer", dialogue("", "what", "pong"), probetest.Brief, probes.FailureResult(probes.ReasonTimeout)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := Definition{URL: "udp://", Address: server.Addr(), UDPPort: server.Port(), UDP: &UDPSettings{Steps: test.steps}}
			if got := result(t, def, test.timeout); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		def := Definition{URL: "udp://" + probetest.Refusing(t).String(), UDP: &UDPSettings{Steps: dialogue("", "ping", "pong")}}
		if got, want := result(t, def, probetest.Ample), probes.FailureResult(probes.ReasonConnectionRefused); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestDialoguesRefused(t *testing.T) {
	long := strings.Repeat("a", 1025)
	for i, test := range []struct {
		def  Definition
		want string
	}{
		{Definition{URL: "udp://"}, "healthCheck.udp.steps must begin with something to send"},
		{Definition{URL: "udp://", UDP: &UDPSettings{Steps: dialogue("a", "b")}}, "healthCheck.udp.steps must begin with something to send"},
		{Definition{URL: "udp://", UDP: &UDPSettings{Steps: dialogue("", long, "b")}}, "healthCheck.udp.steps[0] is longer than 1024 bytes"},
		{Definition{URL: "tcp://", TCP: &TCPSettings{Steps: make([]Step, 1000)}}, "healthCheck.tcp.steps has more than 16 steps"},
		{Definition{URL: "tcp://", TCP: &TCPSettings{Steps: make([]Step, 1)}}, "healthCheck.tcp.steps[0] must either send or expect something"},
		{Definition{URL: "tls://", TCP: &TCPSettings{Steps: dialogue(long)}}, "healthCheck.tcp.steps[0] is longer than 1024 bytes"},
		{Definition{URL: "tls://", TCP: &TCPSettings{StartTLS: "POP3"}}, "healthCheck.tcp.startTLS is unknown: write SMTP, IMAP, LDAP or Postgres"},
		{Definition{URL: "tcp://", TCP: &TCPSettings{StartTLS: StartTLSSMTP}}, "healthCheck.tcp.startTLS goes over to TLS, which tcp URLs do not: write tls://"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			test.def.Address, test.def.Port = netip.MustParseAddr("192.0.2.10"), 25
			_, err := NewRegistry(transport.NewDialer(loopback)).New(test.def)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s...", err, test.want)
			}
		})
	}
}

func benchmarkUDPProbe(b *testing.B) {
	server := echoing(b, map[string]string{"ping": "pong"})
	benchmark(b, Definition{URL: "udp://" + server.String(), UDP: &UDPSettings{Steps: dialogue("", "ping", "pong")}})
}
