package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
)

const (
	// As long as etcd keeps what a page was read from.
	pageLife      = 5 * time.Minute
	bookmarkEvery = time.Minute
	watchSeconds  = 1800
)

// page is the rest of a list, as it was when its first page was read.
type page struct {
	version int64
	items   []*object
}

func (s *server) read(w http.ResponseWriter, r *http.Request, p place) error {
	by := selection{namespace: p.namespace}
	query := r.URL.Query()
	var err error
	if by.labels, err = labels.Parse(query.Get("labelSelector")); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if by.fields, err = fields.ParseSelector(query.Get("fieldSelector")); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	known := append([]string{"metadata.name", "metadata.namespace"}, p.fields...)
	for _, required := range by.fields.Requirements() {
		if !contains(known, required.Field) {
			return notServed("selecting by " + required.Field)
		}
	}
	watches, _ := strconv.ParseBool(query.Get("watch"))
	if watches {
		return s.watch(w, r, p, by)
	}
	return s.list(w, r, p, by)
}

func (s *server) list(w http.ResponseWriter, r *http.Request, p place, by selection) error {
	if err := onlyQuery(r, "labelSelector", "fieldSelector", "limit", "continue", "watch"); err != nil {
		return err
	}
	as, err := asked(r, "PartialObjectMetadataList")
	if err != nil {
		return err
	}
	var found page
	if token := r.URL.Query().Get("continue"); token != "" {
		kept, there := s.pages.Load(token)
		if !there {
			return apierrors.NewResourceExpired("the continue token is too old")
		}
		found = kept.(page)
	} else {
		p.Lock()
		found = page{s.version.Load(), p.selected(by)}
		p.Unlock()
	}
	metadata := metav1.ListMeta{ResourceVersion: strconv.FormatInt(found.version, 10)}
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	if items := found.items; limit > 0 && len(items) > limit {
		found.items = items[:limit]
		metadata.Continue = s.keep(page{found.version, items[limit:]})
		if by.labels.Empty() && by.fields.Empty() {
			left := int64(len(items) - limit)
			metadata.RemainingItemCount = &left
		}
	}
	return sendList(w, p, metadata, found.items, as)
}

// keep returns the token by which the page can be asked for, for a while.
func (s *server) keep(rest page) string {
	token := string(uuid.NewUUID())
	s.pages.Store(token, rest)
	time.AfterFunc(pageLife, func() { s.pages.Delete(token) })
	return token
}

func sendList(w http.ResponseWriter, p place, metadata metav1.ListMeta, items []*object, as form) error {
	head, each := typed(p.listKind, p.GroupVersion().String()), item
	if as == onlyMetadata {
		head = typed("PartialObjectMetadataList", metav1.SchemeGroupVersion.String())
		each = onlyMetadata
	}
	told, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	text.WriteString("{" + head + `"metadata":` + string(told) + `,"items":[`)
	for at, obj := range items {
		if at > 0 {
			text.WriteByte(',')
		}
		obj.encode(&text, each)
	}
	text.WriteString("]}\n")
	write(w, http.StatusOK, text.Bytes())
	return nil
}

func send(w http.ResponseWriter, code int, obj *object, as form) {
	var text bytes.Buffer
	obj.encode(&text, as)
	text.WriteByte('\n')
	write(w, code, text.Bytes())
}

func write(w http.ResponseWriter, code int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// Whoever went away before the end needs no answer.
	_, _ = w.Write(text)
}

func (s *server) watch(w http.ResponseWriter, r *http.Request, p place, by selection) error {
	err := onlyQuery(r, "labelSelector", "fieldSelector", "watch", "resourceVersion",
		"timeoutSeconds", "allowWatchBookmarks")
	if err != nil {
		return err
	}
	as, err := asked(r, "PartialObjectMetadata")
	if err != nil {
		return err
	}
	query := r.URL.Query()
	seconds := watchSeconds
	if text := query.Get("timeoutSeconds"); text != "" {
		if seconds, err = strconv.Atoi(text); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
	}
	stream := &stream{w: w, kind: p.kind, as: as}
	if text := query.Get("resourceVersion"); text != "" && text != "0" {
		if stream.version, err = strconv.ParseInt(text, 10, 64); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
	} else {
		p.Lock()
		stream.version = s.version.Load()
		for _, obj := range p.selected(by) {
			stream.event(watch.Added, obj)
		}
		p.Unlock()
	}
	var bookmarks <-chan time.Time
	if asks, _ := strconv.ParseBool(query.Get("allowWatchBookmarks")); asks {
		ticker := time.NewTicker(bookmarkEvery)
		defer ticker.Stop()
		bookmarks = ticker.C
	}
	end := time.NewTimer(time.Duration(seconds) * time.Second)
	defer end.Stop()
	w.Header().Set("Content-Type", "application/json")
	for {
		changed, err := stream.follow(by)
		if stream.flush() != nil || err != nil {
			return nil
		}
		select {
		case <-changed:
		case <-bookmarks:
			stream.bookmark()
		case <-end.C:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

// stream is a watch that has told all up to its version.
type stream struct {
	w       http.ResponseWriter
	kind    *kind
	as      form
	version int64
	text    bytes.Buffer
}

// follow tells what changed since; it returns what is closed when there is more. After an error,
// which it tells too, the watch is over.
func (s *stream) follow(by selection) (<-chan struct{}, error) {
	changes, changed, err := s.kind.after(s.version)
	if err != nil {
		text, _ := json.Marshal(responsewriters.ErrorToAPIStatus(err))
		s.frame(watch.Error, func() { s.text.Write(text) })
		return nil, err
	}
	for _, each := range changes {
		s.version = each.version
		if event, obj := by.seen(each); obj != nil {
			s.event(event, obj)
		}
	}
	return changed, nil
}

func (s *stream) event(of watch.EventType, obj *object) {
	s.frame(of, func() { obj.encode(&s.text, s.as) })
}

func (s *stream) bookmark() {
	head := typed(s.kind.GroupVersionKind.Kind, s.kind.GroupVersion().String())
	if s.as == onlyMetadata {
		head = typed("PartialObjectMetadata", metav1.SchemeGroupVersion.String())
	}
	s.frame(watch.Bookmark, func() {
		s.text.WriteString("{" + head + `"metadata":{"resourceVersion":"` +
			strconv.FormatInt(s.version, 10) + `"}}`)
	})
}

func (s *stream) frame(of watch.EventType, object func()) {
	s.text.WriteString(`{"type":"` + string(of) + `","object":`)
	object()
	s.text.WriteString("}\n")
}

func (s *stream) flush() error {
	_, err := s.w.Write(s.text.Bytes())
	s.text.Reset()
	s.w.(http.Flusher).Flush()
	return err
}
