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
	"errors"
	"fmt"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// An address may be given to another machine, and a probe must not give that machine the
// password of the one before. A server has proved who it is if it has shown a certificate that
// was verified, chain and name. To a server that did not, credentials are sent only as the
// table loginMethods allows.

// ErrCredentialsWithheld is in the errors of Registry.New for definitions whose probes would
// send credentials to a server that has not proved who it is.
var ErrCredentialsWithheld = errors.New("credentials are sent only to servers with a verified certificate")

// credentialsWithheld is the error of a probe that the server has asked for a password in a
// way in which it does not get it.
type credentialsWithheld struct{ method probes.LoginMethod }

func (e *credentialsWithheld) Error() string { return e.method.Message() }

// ProbeResult is that of such a probe. The settings are to blame, and not the endpoint.
func (e *credentialsWithheld) ProbeResult() probes.Result {
	return probes.Result{Outcome: probes.Unknown, Reason: probes.ReasonCredentialsWithheld, Code: uint16(e.method)}
}

// checkSending returns an error if a definition would have its probes send credentials by a
// method that the connection is not good enough for. client is nil without TLS.
func (def Definition) checkSending(method probes.LoginMethod, scheme string, client *transport.TLSClient) error {
	if method.MaySend(client.VerifiesServer(), def.SendCredentialsToUnverifiedServers) {
		return nil
	}
	const anyway = "set healthCheck.sendCredentialsToUnverifiedServers to send them to any server that answers"
	if client != nil {
		return fmt.Errorf("healthCheckURL: %w: remove insecureSkipVerify from healthCheck.tls, or %s", ErrCredentialsWithheld, anyway)
	}
	return fmt.Errorf("healthCheckURL: %w, which needs TLS: write %ss://, or %s", ErrCredentialsWithheld, scheme, anyway)
}
