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

package alerting

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The operator may update no other ConfigMap. Permission to create cannot be limited to one name.
// +kubebuilder:rbac:groups="",resources=configmaps,namespace=farpoint-system,verbs=create
// +kubebuilder:rbac:groups="",resources=configmaps,namespace=farpoint-system,resourceNames=farpoint-webhooks,verbs=update

// RecordName is the name of the ConfigMap with the record of webhooks, in the operator's own
// namespace.
const RecordName = "farpoint-webhooks"

// postedAlert says what was posted to a webhook about the beginning of an alert.
type postedAlert struct {
	// since distinguishes one beginning of an alert from another.
	since time.Time
	// delivered is false while the beginning is being posted. It may have arrived.
	delivered bool
}

// recordEntry is an alert whose beginning was posted to a webhook, and whose end was not, as in
// the ConfigMap.
type recordEntry struct {
	Alert     Name      `json:"alert"`
	Namespace string    `json:"namespace"`
	Object    string    `json:"externalService"`
	Endpoint  string    `json:"endpoint,omitempty"`
	Zone      string    `json:"zone,omitempty"`
	Reason    string    `json:"reason"`
	Since     time.Time `json:"since"`
	Delivered bool      `json:"delivered,omitempty"`
}

// record keeps what was posted to one webhook where the next leader finds it.
type record struct {
	// live reads from the API server and not from a cache, which would watch ConfigMaps.
	live   client.Client
	object types.NamespacedName
	// key is the webhook's key in the ConfigMap.
	key string
	// maxBytes bounds what is stored.
	maxBytes int
	// saved is what was last read or written.
	saved []byte
}

// newRecord returns the record of the webhook at this URL. A digest of the URL identifies the
// webhook, since anyone who knows the URL itself can often post there.
func newRecord(live client.Client, namespace, url string, maxBytes int) *record {
	digest := sha256.Sum256([]byte(url))
	return &record{
		live: live, maxBytes: maxBytes,
		object: types.NamespacedName{Namespace: namespace, Name: RecordName},
		key:    "webhook-" + hex.EncodeToString(digest[:8]),
	}
}

// load returns what was posted to the webhook. A record that cannot be decoded counts as empty:
// somebody edited it, and nothing can be known from it.
func (r *record) load(ctx context.Context) (map[alert]postedAlert, error) {
	stored := &corev1.ConfigMap{}
	if err := r.live.Get(ctx, r.object, stored); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read ConfigMap %s: %w", r.object, err)
	}
	list, err := decodeRecord(stored.BinaryData[r.key])
	if err != nil {
		return nil, nil
	}
	r.saved = stored.BinaryData[r.key]
	return list, nil
}

// save stores what was posted to the webhook, if that differs from what is stored.
func (r *record) save(ctx context.Context, list map[alert]postedAlert) error {
	content, err := encodeRecord(list, r.maxBytes)
	if err != nil || bytes.Equal(content, r.saved) {
		return err
	}
	// Other webhooks of this process write to the same ConfigMap.
	raced := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	err = retry.OnError(retry.DefaultBackoff, raced, func() error { return r.write(ctx, content) })
	if err != nil {
		return fmt.Errorf("write ConfigMap %s: %w", r.object, err)
	}
	r.saved = content
	return nil
}

func (r *record) write(ctx context.Context, content []byte) error {
	stored := &corev1.ConfigMap{}
	err := r.live.Get(ctx, r.object, stored)
	switch {
	case apierrors.IsNotFound(err):
		stored.ObjectMeta = metav1.ObjectMeta{Namespace: r.object.Namespace, Name: r.object.Name}
		stored.BinaryData = map[string][]byte{r.key: content}
		return r.live.Create(ctx, stored)
	case err != nil:
		return err
	}
	if stored.BinaryData == nil {
		stored.BinaryData = map[string][]byte{}
	}
	stored.BinaryData[r.key] = content
	return r.live.Update(ctx, stored)
}

// encodeRecord returns the entries as compressed JSON, always the same for the same entries. If
// there are too many, the oldest ones are left out: their end is not posted after a restart.
func encodeRecord(list map[alert]postedAlert, maxBytes int) ([]byte, error) {
	entries := make([]recordEntry, 0, len(list))
	for key, known := range list {
		entries = append(entries, recordEntry{key.name, key.object.Namespace, key.object.Name, key.endpoint, key.zone, key.reason, known.since.UTC(), known.delivered})
	}
	slices.SortFunc(entries, func(x, y recordEntry) int {
		return cmp.Or(y.Since.Compare(x.Since), cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Object, y.Object),
			cmp.Compare(x.Endpoint, y.Endpoint), cmp.Compare(x.Alert, y.Alert), cmp.Compare(x.Reason, y.Reason), cmp.Compare(x.Zone, y.Zone))
	})
	for {
		content, err := compressed(entries)
		if err != nil || len(content) <= maxBytes {
			return content, err
		}
		entries = entries[:len(entries)*3/4]
	}
}

func compressed(entries []recordEntry) ([]byte, error) {
	var content bytes.Buffer
	writer := gzip.NewWriter(&content)
	if err := json.NewEncoder(writer).Encode(entries); err != nil {
		return nil, fmt.Errorf("encode the record of alerts: %w", err)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("compress the record of alerts: %w", err)
	}
	return content.Bytes(), nil
}

// maxDecompressed bounds what is read of a record: anybody who can edit ConfigMaps in the
// operator's namespace may have written it.
const maxDecompressed = 64 << 20

func decodeRecord(content []byte) (map[alert]postedAlert, error) {
	if len(content) == 0 {
		return nil, nil
	}
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("decompress the record of alerts: %w", err)
	}
	var entries []recordEntry
	if err := json.NewDecoder(io.LimitReader(reader, maxDecompressed)).Decode(&entries); err != nil {
		return nil, fmt.Errorf("decode the record of alerts: %w", err)
	}
	list := make(map[alert]postedAlert, len(entries))
	for _, entry := range entries {
		if _, known := eventTypes[entry.Alert]; !known {
			continue // of another version of the operator
		}
		key := alert{entry.Alert, types.NamespacedName{Namespace: entry.Namespace, Name: entry.Object}, entry.Endpoint, entry.Zone, entry.Reason}
		list[key] = postedAlert{entry.Since, entry.Delivered}
	}
	return list, nil
}
