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
	"io"
	"net"

	"farpoint.dev/farpoint/probes"
)

// StartTLS is the protocol by which a connection without TLS goes over to it.
type StartTLS string

// Protocols that go over to TLS; "" has TLS begin at once.
const (
	StartTLSSMTP     StartTLS = "SMTP"
	StartTLSIMAP     StartTLS = "IMAP"
	StartTLSLDAP     StartTLS = "LDAP"
	StartTLSPostgres StartTLS = "Postgres"
)

// What clients send to begin TLS, and what servers answer.
const (
	// ldapStartTLS is the extended request 1.3.6.1.4.1.1466.20037 (RFC 4511, 4.14).
	ldapStartTLS = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
	// postgresStartTLS is SSLRequest.
	postgresStartTLS = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
)

// maxReplyLines bounds a reply before TLS begins, which is read byte by byte: nobody else's probes
// wait while a server talks for as long as the timeout lasts.
const maxReplyLines = 64

func (s StartTLS) validate() error {
	switch s {
	case "", StartTLSSMTP, StartTLSIMAP, StartTLSLDAP, StartTLSPostgres:
		return nil
	}
	return errors.New("healthCheck.tcp.startTLS is unknown: write SMTP, IMAP, LDAP or Postgres")
}

// negotiate has the server begin TLS. A server that refuses to fails like one whose handshake
// fails; one that speaks another protocol is a ProtocolError.
func (s StartTLS) negotiate(conn net.Conn) error {
	switch s {
	case StartTLSSMTP:
		return negotiateSMTP(conn)
	case StartTLSIMAP:
		return negotiateIMAP(conn)
	case StartTLSLDAP:
		return negotiateLDAP(conn)
	case StartTLSPostgres:
		return negotiatePostgres(conn)
	}
	return nil
}

// negotiateSMTP follows RFC 3207. Replies have several lines; the last one has a space after its
// code.
func negotiateSMTP(conn net.Conn) error {
	for _, step := range []struct{ send, expect string }{{"", "220"}, {"EHLO farpoint.invalid\r\n", "250"}, {"STARTTLS\r\n", "220"}} {
		if _, err := io.WriteString(conn, step.send); err != nil {
			return err
		}
		last := false
		for lines := 0; !last; lines++ {
			line, err := readLine(conn)
			switch {
			case err != nil:
				return err
			case lines == maxReplyLines, len(line) < 3, line[0] < '2' || line[0] > '5', len(line) > 3 && line[3] != ' ' && line[3] != '-':
				return fault(probes.ReasonProtocol)
			case string(line[:3]) != step.expect && step.send == "":
				return fault(probes.ReasonNotAccepting)
			case string(line[:3]) != step.expect:
				return fault(probes.ReasonTLSHandshake)
			}
			last = len(line) == 3 || line[3] == ' '
		}
	}
	return nil
}

// negotiateIMAP follows RFC 3501, 6.2.1.
func negotiateIMAP(conn net.Conn) error {
	line, err := readLine(conn)
	switch {
	case err != nil:
		return err
	case bytes.HasPrefix(line, []byte("* BYE")):
		return fault(probes.ReasonNotAccepting)
	case !bytes.HasPrefix(line, []byte("* OK")) && !bytes.HasPrefix(line, []byte("* PREAUTH")):
		return fault(probes.ReasonProtocol)
	}
	if _, err := io.WriteString(conn, "a STARTTLS\r\n"); err != nil {
		return err
	}
	for range maxReplyLines {
		line, err := readLine(conn)
		switch {
		case err != nil:
			return err
		case bytes.HasPrefix(line, []byte("a OK")):
			return nil
		case bytes.HasPrefix(line, []byte("a ")):
			return fault(probes.ReasonTLSHandshake)
		case !bytes.HasPrefix(line, []byte("* ")):
			return fault(probes.ReasonProtocol)
		}
	}
	return fault(probes.ReasonProtocol)
}

// readLine reads a line byte by byte, because what follows it is TLS.
func readLine(conn net.Conn) ([]byte, error) {
	const maxLineBytes = 512
	line := make([]byte, 0, maxLineBytes)
	for len(line) < maxLineBytes {
		if _, err := io.ReadFull(conn, line[len(line):len(line)+1]); err != nil {
			return nil, err
		}
		line = line[:len(line)+1]
		if text, ended := bytes.CutSuffix(line, []byte("\n")); ended {
			return bytes.TrimSuffix(text, []byte("\r")), nil
		}
	}
	return nil, fault(probes.ReasonProtocol)
}

// negotiateLDAP reads one short message, of which only the result code matters.
func negotiateLDAP(conn net.Conn) error {
	if _, err := io.WriteString(conn, ldapStartTLS); err != nil {
		return err
	}
	var head [2]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	length := int(head[1])
	if length == 0x84 { // Active Directory writes all lengths in four bytes
		var long [4]byte
		if _, err := io.ReadFull(conn, long[:]); err != nil {
			return err
		}
		length = int(long[2])<<8 | int(long[3])
		if long[0]|long[1] != 0 {
			return fault(probes.ReasonProtocol)
		}
	}
	if head[0] != 0x30 || head[1] > 0x7f && head[1] != 0x84 || length > 1<<10 {
		return fault(probes.ReasonProtocol)
	}
	message := make([]byte, length)
	if _, err := io.ReadFull(conn, message); err != nil {
		return err
	}
	// The message's number, the extended response (0x78) and its length, and the result code.
	response, ok := bytes.CutPrefix(message, []byte{0x02, 0x01, 0x01, 0x78})
	at := bytes.Index(response, []byte{0x0a, 0x01})
	switch {
	case !ok || at < 0 || len(response) < at+3:
		return fault(probes.ReasonProtocol)
	case response[at+2] != 0:
		return fault(probes.ReasonTLSHandshake)
	}
	return nil
}

func negotiatePostgres(conn net.Conn) error {
	if _, err := io.WriteString(conn, postgresStartTLS); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	switch answer[0] {
	case 'S':
		return nil
	case 'N':
		return fault(probes.ReasonTLSHandshake)
	}
	return fault(probes.ReasonProtocol)
}
