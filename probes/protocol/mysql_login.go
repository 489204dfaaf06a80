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
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"strings"

	"filippo.io/edwards25519"

	"farpoint.dev/farpoint/probes"
)

// Capabilities of servers and clients.
const (
	mysqlLongPassword     = 1 << 0
	mysqlConnectWithDB    = 1 << 3
	mysqlProtocol41       = 1 << 9
	mysqlSSL              = 1 << 11
	mysqlTransactions     = 1 << 13
	mysqlSecureConnection = 1 << 15
	mysqlPluginAuth       = 1 << 19
	mysqlConnectAttrs     = 1 << 20
	mysqlLongAuthData     = 1 << 21
)

// handshakePacket is the first packet of a server.
type handshakePacket struct {
	version      string
	capabilities uint32
	// scramble is what the server wants to see mixed with the password.
	scramble []byte
	// plugin is the method by which it would have clients log in.
	plugin string
}

// readHandshake reads the first packet. The server may refuse us already there.
func (s *mysqlSession) readHandshake() (handshakePacket, error) {
	// What speaks another protocol is known by its first bytes.
	if head, err := s.buffered.Peek(5); err != nil {
		return handshakePacket{}, err
	} else if head[2] != 0 || head[3] != 0 || head[4] != 10 && head[4] != mysqlError {
		return handshakePacket{}, fault(probes.ReasonProtocol)
	}
	p, err := s.receive()
	if err != nil {
		return handshakePacket{}, err
	}
	p.bytes(1) // the protocol's version, 10
	handshake := handshakePacket{version: p.terminated(), plugin: "mysql_native_password"}
	p.bytes(4) // the number of the connection
	handshake.scramble = append(handshake.scramble, p.bytes(8)...)
	p.bytes(1)
	handshake.capabilities = uint32(p.uint16())
	p.bytes(3) // character set and status
	handshake.capabilities |= uint32(p.uint16()) << 16
	length := int(p.byte())
	p.bytes(10)
	handshake.scramble = append(handshake.scramble, p.bytes(max(13, length-8))...)
	if handshake.capabilities&mysqlPluginAuth != 0 {
		handshake.plugin = p.terminated()
	}
	handshake.scramble = handshake.scramble[:max(len(handshake.scramble)-1, 0)] // a zero ends it
	if p.bad || handshake.capabilities&mysqlProtocol41 == 0 || handshake.capabilities&mysqlSecureConnection == 0 {
		return handshakePacket{}, fault(probes.ReasonProtocol) // or is older than MySQL 4.1
	}
	return handshake, nil
}

// mysqlLogin is who logs in.
type mysqlLogin struct {
	user, password, database string
	// secure: by TLS. verified: the server has proved by it who it is, and gets the password if it
	// asks.
	secure, verified bool
}

func (l *mysqlLogin) capabilities() uint32 {
	flags := uint32(mysqlLongPassword | mysqlProtocol41 | mysqlTransactions | mysqlSecureConnection | mysqlPluginAuth | mysqlConnectAttrs | mysqlLongAuthData)
	if l.database != "" {
		flags |= mysqlConnectWithDB
	}
	if l.secure {
		flags |= mysqlSSL
	}
	return flags
}

// head is what a request for TLS and a login begin with.
func (l *mysqlLogin) head(handshake handshakePacket) []byte {
	const utf8mb4 = 45
	head := binary.LittleEndian.AppendUint32(nil, l.capabilities()&handshake.capabilities)
	head = binary.LittleEndian.AppendUint32(head, maxDatabaseBytes)
	return append(append(head, utf8mb4), make([]byte, 23)...)
}

// logIn answers the handshake packet and the authentication requests that follow.
func (s *mysqlSession) logIn(login mysqlLogin, handshake handshakePacket) error {
	plugin, scramble := handshake.plugin, handshake.scramble
	authResponse, err := login.authenticate(plugin, scramble)
	if err != nil { // the server may have another method for this user
		plugin = "mysql_native_password"
		if authResponse, err = login.authenticate(plugin, scramble); err != nil {
			return err
		}
	}
	attributes := appendLengthAnd(appendLengthAnd(nil, "program_name"), "farpoint")
	answer := append(append(login.head(handshake), login.user...), 0)
	answer = appendLengthAnd(answer, string(authResponse))
	if handshake.capabilities&mysqlConnectWithDB != 0 && login.database != "" {
		answer = append(append(answer, login.database...), 0)
	}
	answer = append(append(answer, plugin...), 0)
	if err := s.send(appendLengthAnd(answer, string(attributes))...); err != nil {
		return err
	}
	for range maxMySQLQuestions {
		question, err := s.receive()
		if err != nil {
			return err
		}
		switch question.byte() {
		case mysqlOK:
			return nil
		case mysqlEOF:
			if len(question.rest) == 0 {
				return fault(probes.ReasonAuthentication) // by the method of before 4.1
			}
			plugin = question.terminated()
			// MariaDB's client_ed25519 sends 32 random bytes, of which the last may be zero;
			// the others end theirs with a zero.
			scramble = append([]byte(nil), question.rest...)
			if n := len(scramble); plugin != mysqlEd25519 && n > 0 && scramble[n-1] == 0 {
				scramble = scramble[:n-1]
			}
			if authResponse, err = login.authenticate(plugin, scramble); err == nil {
				err = s.send(authResponse...)
			}
		case mysqlMoreData:
			err = s.proveMore(login, plugin, question.rest)
		default:
			err = fault(probes.ReasonProtocol)
		}
		if unsent := (*credentialsWithheld)(nil); errors.As(err, &unsent) {
			s.decline()
		}
		if err != nil {
			return err
		}
	}
	return fault(probes.ReasonProtocol)
}

// decline answers a question for the password with an empty one and lets the server refuse
// that. Servers count clients that leave instead, and eventually block their host.
func (s *mysqlSession) decline() {
	if s.send(0) == nil {
		_, _ = s.receive() // whatever it says
	}
}

// mysqlEd25519 is the method by which users of MariaDB log in that are IDENTIFIED VIA
// ed25519.
const mysqlEd25519 = "client_ed25519"

// maxMySQLQuestions is how often a server may ask for something else before it decides.
const maxMySQLQuestions = 5

// appendLengthAnd appends a string with its length before it, both short.
func appendLengthAnd(to []byte, text string) []byte {
	if len(text) < mysqlNull {
		return append(append(to, byte(len(text))), text...)
	}
	return append(binary.LittleEndian.AppendUint16(append(to, 0xfc), uint16(len(text))), text...)
}

// mysqlPlugins are the methods by their names in the protocol. What the first question of
// caching_sha2_password is about is its fast path.
var mysqlPlugins = map[string]probes.LoginMethod{
	"mysql_native_password": probes.LoginMySQLNative,
	"caching_sha2_password": probes.LoginMySQLCachingFast,
	"sha256_password":       probes.LoginMySQLSHA256,
	"mysql_clear_password":  probes.LoginMySQLClear,
	mysqlEd25519:            probes.LoginMySQLEd25519,
}

// authenticate makes of the password what a method wants to see of it.
func (l *mysqlLogin) authenticate(plugin string, scramble []byte) ([]byte, error) {
	method, ok := mysqlPlugins[plugin]
	if !ok {
		return nil, fault(probes.ReasonAuthentication)
	}
	if err := l.checkSending(method); err != nil {
		return nil, err
	}
	switch method {
	case probes.LoginMySQLNative:
		return nativeProof(l.password, scramble)
	case probes.LoginMySQLCachingFast:
		return cachingProof(l.password, scramble)
	case probes.LoginMySQLEd25519:
		return ed25519Proof(l.password, scramble)
	}
	return append([]byte(l.password), 0), nil
}

// checkSending returns an error if the server does not get the password by a method.
func (l *mysqlLogin) checkSending(method probes.LoginMethod) error {
	if l.password == "" || method.MaySend(l.verified, false) {
		return nil
	}
	return &credentialsWithheld{method}
}

// proveMore answers when the first proof has not been enough.
func (s *mysqlSession) proveMore(login mysqlLogin, plugin string, question []byte) error {
	const enough, password = 3, 4 // the answers of a server with and without the password in its cache
	if plugin != "caching_sha2_password" || len(question) != 1 {
		return fault(probes.ReasonProtocol)
	}
	switch question[0] {
	case enough:
		return nil
	case password:
		// The key that the server would send to encrypt it by is never asked for: without TLS
		// nothing proves whose key it is.
		if err := login.checkSending(probes.LoginMySQLCachingFull); err != nil {
			return err
		}
		return s.send(append([]byte(login.password), 0)...)
	}
	return fault(probes.ReasonProtocol)
}

// nativeProof is SHA1(password) XOR SHA1(scramble, SHA1(SHA1(password))).
func nativeProof(password string, scramble []byte) ([]byte, error) {
	switch {
	case password == "":
		return nil, nil
	case len(scramble) != 20:
		return nil, fault(probes.ReasonProtocol)
	}
	once := sha1.Sum([]byte(password))
	twice := sha1.Sum(once[:])
	mixed := sha1.Sum(append(append([]byte(nil), scramble...), twice[:]...))
	return xor(once[:], mixed[:]), nil
}

// cachingProof is SHA256(password) XOR SHA256(SHA256(SHA256(password)), scramble).
func cachingProof(password string, scramble []byte) ([]byte, error) {
	switch {
	case password == "":
		return nil, nil
	case len(scramble) != 20:
		return nil, fault(probes.ReasonProtocol)
	}
	once := sha256.Sum256([]byte(password))
	twice := sha256.Sum256(once[:])
	mixed := sha256.Sum256(append(twice[:], scramble...))
	return xor(once[:], mixed[:]), nil
}

// xor mixes with as many bytes of the key as there are, over and over.
func xor(text, key []byte) []byte {
	mixed := make([]byte, len(text))
	for i := range text {
		mixed[i] = text[i] ^ key[i%len(key)]
	}
	return mixed
}

// ed25519Proof signs the scramble as MariaDB's plugin wants it: with SHA-512 of the
// password in place of that of a seed, so that crypto/ed25519 is of no use
// (https://mariadb.com/kb/en/authentication-plugin-ed25519/; the steps are those of RFC
// 8032, 5.1.6).
func ed25519Proof(password string, scramble []byte) ([]byte, error) {
	if len(scramble) != 32 {
		return nil, fault(probes.ReasonProtocol)
	}
	secret := sha512.Sum512([]byte(password))
	key, err := edwards25519.NewScalar().SetBytesWithClamping(secret[:32])
	if err != nil {
		return nil, err
	}
	nonce, err := hashedScalar(secret[32:], scramble)
	if err != nil {
		return nil, err
	}
	public := new(edwards25519.Point).ScalarBaseMult(key).Bytes()
	commitment := new(edwards25519.Point).ScalarBaseMult(nonce).Bytes()
	challenge, err := hashedScalar(commitment, public, scramble)
	if err != nil {
		return nil, err
	}
	return append(commitment, edwards25519.NewScalar().MultiplyAdd(challenge, key, nonce).Bytes()...), nil
}

func hashedScalar(parts ...[]byte) (*edwards25519.Scalar, error) {
	digest := sha512.New()
	for _, part := range parts {
		digest.Write(part)
	}
	return edwards25519.NewScalar().SetUniformBytes(digest.Sum(nil))
}

// isMariaDB tells the two kinds of servers apart.
func (g handshakePacket) isMariaDB() bool { return strings.Contains(g.version, "MariaDB") }
