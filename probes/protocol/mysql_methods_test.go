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
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/go-sql-driver/mysql"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// mysqlMethod is a server that lets people in by one method, who know the password.
type mysqlMethod struct {
	greeted, plugin string
	tls             *tls.Config
	key             *rsa.PrivateKey
	// cached: it knows the password's hash already.
	cached bool
	// scrambles are the one of the greeting and, if the methods differ, that of the switch.
	scramble string
}

const mysqlPassword = "correct horse"

// exchange is the server's side. It checks proofs in another way than they are made: by what
// a server keeps of a password.
func (m mysqlMethod) exchange(conn net.Conn) {
	capabilities := uint32(mysqlCapable)
	if m.tls != nil {
		capabilities |= mysqlSSL
	}
	_, _ = io.WriteString(conn, mysqlGreeting("8.4.0", m.greeted, capabilities, m.scramble))
	login, sequence := readPacket(conn)
	if m.tls != nil && len(login) == 32 {
		server := tls.Server(conn, m.tls)
		if server.Handshake() != nil {
			return
		}
		defer func() { _ = server.CloseWrite() }()
		conn = server
		login, sequence = readPacket(conn)
	}
	if len(login) < 33 {
		return
	}
	p := payload{rest: login[32:]}
	p.terminated()
	length, _ := p.length()
	authResponse := p.bytes(int(length))
	if plugin := p.terminated(); plugin != m.plugin {
		_, _ = io.WriteString(conn, mysqlPacket(sequence+1, "\xfe"+m.plugin+"\x00"+m.scramble+"\x00"))
		authResponse, sequence = readPacket(conn)
	}
	good, sequence := m.check(conn, authResponse, sequence)
	if !good {
		_, _ = io.WriteString(conn, mysqlPacket(sequence+1, "\xff\x15\x04#28000no"))
		return
	}
	for ; ; sequence = 0 {
		_, _ = io.WriteString(conn, mysqlPacket(sequence+1, "\x00\x00\x00\x02\x00\x00\x00"))
		if command, _ := readPacket(conn); len(command) == 0 || command[0] == mysqlQuit {
			return
		}
	}
}

func readPacket(conn net.Conn) (content []byte, sequence byte) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, 0
	}
	content = make([]byte, int(head[0])|int(head[1])<<8)
	_, _ = io.ReadFull(conn, content)
	return content, head[3]
}

// check looks at a proof and may ask for another one.
func (m mysqlMethod) check(conn net.Conn, authResponse []byte, sequence byte) (good bool, last byte) {
	ask := func(question string) []byte {
		_, _ = io.WriteString(conn, mysqlPacket(sequence+1, "\x01"+question))
		authResponse, sequence = readPacket(conn)
		return authResponse
	}
	_, secure := conn.(*tls.Conn)
	plaintext := mysqlPassword + "\x00"
	encrypted := func() bool {
		der, _ := x509.MarshalPKIXPublicKey(&m.key.PublicKey)
		sealed := ask(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
		mixed, err := rsa.DecryptOAEP(sha1.New(), nil, m.key, sealed, nil)
		return err == nil && string(xor(mixed, []byte(m.scramble))) == plaintext
	}
	switch m.plugin {
	case "mysql_native_password":
		once := sha1.Sum([]byte(mysqlPassword))
		kept := sha1.Sum(once[:])
		mask := sha1.Sum(append([]byte(m.scramble), kept[:]...))
		if len(authResponse) != len(mask) {
			return false, sequence
		}
		candidate := sha1.Sum(xor(authResponse, mask[:]))
		return candidate == kept, sequence
	case "caching_sha2_password":
		once := sha256.Sum256([]byte(mysqlPassword))
		kept := sha256.Sum256(once[:])
		if m.cached {
			mask := sha256.Sum256(append(bytes.Clone(kept[:]), m.scramble...))
			if len(authResponse) != len(mask) || sha256.Sum256(xor(authResponse, mask[:])) != kept {
				return false, sequence
			}
			_, _ = io.WriteString(conn, mysqlPacket(sequence+1, "\x01\x03"))
			return true, sequence + 1
		}
		if authResponse = ask("\x04"); secure {
			return string(authResponse) == plaintext, sequence
		}
		return string(authResponse) == "\x02" && encrypted(), sequence
	case "sha256_password":
		if secure {
			return string(authResponse) == plaintext, sequence
		}
		return string(authResponse) == "\x01" && encrypted(), sequence
	case "mysql_clear_password":
		return string(authResponse) == plaintext, sequence
	}
	return false, sequence
}

// wantsPassword is the method by which the server gets the password itself; 0 if it is not.
func (m mysqlMethod) wantsPassword() probes.LoginMethod {
	switch {
	case m.plugin == "sha256_password":
		return probes.LoginMySQLSHA256
	case m.plugin == "mysql_clear_password":
		return probes.LoginMySQLClear
	case m.plugin == "caching_sha2_password" && !m.cached:
		return probes.LoginMySQLCachingFull
	}
	return 0
}

// What we prove to a server, the client that most programs use proves as well, and so the
// server of this test is like those of the world.
func TestMySQLMethods(t *testing.T) {
	ca := probetest.NewAuthority(t)
	encrypting := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []mysqlMethod{
		{greeted: "sha256_password", plugin: "mysql_native_password"},
		{greeted: "mysql_native_password", plugin: "mysql_native_password"},
		{greeted: "caching_sha2_password", plugin: "mysql_native_password"},
		{greeted: "auth_gssapi_client", plugin: "mysql_native_password"},
		{greeted: "caching_sha2_password", plugin: "caching_sha2_password", cached: true},
		{greeted: "caching_sha2_password", plugin: "caching_sha2_password"},
		{greeted: "caching_sha2_password", plugin: "caching_sha2_password", tls: encrypting},
		{greeted: "mysql_native_password", plugin: "caching_sha2_password", tls: encrypting},
		{greeted: "mysql_native_password", plugin: "caching_sha2_password"},
		{greeted: "caching_sha2_password", plugin: "caching_sha2_password", tls: encrypting, cached: true},
		{greeted: "sha256_password", plugin: "sha256_password"},
		{greeted: "mysql_native_password", plugin: "sha256_password"},
		{greeted: "sha256_password", plugin: "sha256_password", tls: encrypting},
		{greeted: "caching_sha2_password", plugin: "mysql_clear_password", tls: encrypting},
	} {
		name := method.plugin + " after " + method.greeted
		if method.tls != nil {
			name += ", TLS"
		}
		if method.cached {
			name += ", cached"
		}
		method.key, method.scramble = key, mysqlScramble
		t.Run(name, func(t *testing.T) {
			endpoint := probetest.Serve(t, method.exchange)
			for password, want := range map[string]probes.Result{mysqlPassword: probes.SuccessResult(), "wrong": probes.FailureResult(probes.ReasonAuthentication), "": probes.FailureResult(probes.ReasonAuthentication)} {
				knows := want == probes.SuccessResult()
				def := at(endpoint, "mysql://probe@")
				if password != "" {
					if keeps := method.wantsPassword(); keeps != 0 && method.tls == nil {
						want = withheldBy(keeps)
					}
					def = loginAt(endpoint, "mysql://", "probe", password)
				}
				if method.tls != nil {
					def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
				}
				if got := result(t, def, probetest.Ample); got != want {
					t.Errorf("password %q: got %+v, want %+v", password, got, want)
				}
				if err := mysqlOracle(t, endpoint, password, method.tls != nil); (err == nil) != knows {
					t.Errorf("password %q: the usual client gets %v", password, err)
				}
			}
		})
	}
}

// mysqlOracle logs in with the client that most programs use.
func mysqlOracle(t *testing.T, endpoint netip.AddrPort, password string, encrypted bool) error {
	t.Helper()
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr = "probe", password, "tcp", endpoint.String()
	config.AllowCleartextPasswords, config.Logger = true, &mysql.NopLogger{}
	if encrypted {
		config.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), probetest.Ample)
	defer cancel()
	conn, err := connector.Connect(ctx)
	if err == nil {
		err = conn.Close()
	}
	return err
}
