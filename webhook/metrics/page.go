package metrics

import (
	"bytes"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/encoding/protodelim"
)

// maxAge is how long a rendered page is sent again. It limits the cost of many clients; Prometheus
// scrapes less often.
const maxAge = time.Second

// formats are the formats of the page. Prometheus prefers the one with native histograms, if it is
// configured to scrape them.
var formats = []expfmt.Format{expfmt.NewFormat(expfmt.TypeTextPlain), expfmt.NewFormat(expfmt.TypeProtoDelim)}

// page is an http.Handler that renders the metrics in the format that a client accepts, at most
// once per maxAge and format. A slow client reads a copy, so it keeps no other client waiting.
type page struct {
	gatherer prometheus.Gatherer
	log      *slog.Logger
	now      func() time.Time

	mu       sync.Mutex
	rendered map[expfmt.Format]rendering
}

type rendering struct {
	content []byte
	at      time.Time
}

// Handler returns a handler that answers with the metrics in one of the formats of Prometheus.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return &page{gatherer: m.registry, log: log, now: time.Now, rendered: map[expfmt.Format]rendering{}}
}

// ServeHTTP implements http.Handler.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	format := expfmt.NegotiateAccept(r.Header, formats...)
	content, err := p.render(format)
	if err != nil {
		p.log.Error("cannot render the metrics", slog.Any("problem", err))
		http.Error(w, "cannot render the metrics: see the log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", string(format))
	_, _ = w.Write(content) // an error means that the client has closed the connection
}

// render returns the page in a format. There are few formats: NegotiateAccept ignores what it does
// not know.
func (p *page) render(format expfmt.Format) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if last, ok := p.rendered[format]; ok && now.Sub(last.at) < maxAge {
		return last.content, nil
	}
	content, err := encode(p.gatherer, format)
	if err != nil {
		return nil, err
	}
	p.rendered[format] = rendering{content, now}
	return content, nil
}

func encode(gatherer prometheus.Gatherer, format expfmt.Format) ([]byte, error) {
	families, err := gatherer.Gather()
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	for _, family := range families {
		// expfmt.NewEncoder would link the encoders of all formats: 90 KB.
		if format.FormatType() == expfmt.TypeProtoDelim {
			_, err = protodelim.MarshalTo(&content, family)
		} else {
			_, err = expfmt.MetricFamilyToText(&content, family)
		}
		if err != nil {
			return nil, err
		}
	}
	return content.Bytes(), nil
}
