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

package references

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"farpoint.dev/farpoint/probes/protocol"
)

// tokenKey is the key of a token in a Secret; for the others Kubernetes has constants.
const tokenKey = "token"

// credentials reads from a Secret what a probe logs in with.
func (r Reader) credentials(ctx context.Context, name string) (*protocol.Credentials, error) {
	secret, kind := &corev1.Secret{}, "Secret"
	if err := r.get(ctx, secret, name); err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, name, err)
	}
	if !maybeLogin(secret.Type) {
		return nil, fmt.Errorf("%s %s of the type %s, which is for another purpose: create one of the type %s or %s",
			kind, name, secret.Type, corev1.SecretTypeBasicAuth, corev1.SecretTypeOpaque)
	}
	read := &protocol.Credentials{
		Username: string(secret.Data[corev1.BasicAuthUsernameKey]),
		Password: string(secret.Data[corev1.BasicAuthPasswordKey]),
		Token:    string(secret.Data[tokenKey]),
	}
	if read.Password == "" && read.Token == "" {
		return nil, fmt.Errorf("%s %s, which has neither the key %s nor %s: add one, and %s if the probe needs it",
			kind, name, corev1.BasicAuthPasswordKey, tokenKey, corev1.BasicAuthUsernameKey)
	}
	return read, nil
}

// maybeLogin reports whether a Secret of this type may hold a login, and Kubernetes itself has no
// other use for it. Above all, the token of a ServiceAccount must never leave the cluster.
func maybeLogin(kind corev1.SecretType) bool {
	switch kind {
	case corev1.SecretTypeBasicAuth, corev1.SecretTypeOpaque, "":
		return true
	}
	domain, _, _ := strings.Cut(string(kind), "/")
	return domain != "kubernetes.io" && !strings.HasSuffix(domain, ".kubernetes.io")
}
