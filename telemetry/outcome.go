package telemetry

import (
	"context"
	"errors"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// outcome tells the fault of a request from that of the server.
func outcome(err error) string {
	if err == nil {
		return outcomeOK
	}
	for _, o := range []struct {
		name string
		errs []error
	}{
		{outcomeOverloaded, []error{models.ErrOverloaded}},
		{outcomeTimeout, []error{context.DeadlineExceeded}},
		{outcomeCancelled, []error{context.Canceled, pipeline.ErrClosed}},
		{outcomeRefused, []error{
			pipeline.ErrEmptyQuestion, pipeline.ErrQuestionTooLong, pipeline.ErrInvalidText, pipeline.ErrInvalidRequest,
			models.ErrQuestionTooLong, retriever.ErrIndexNotFound, retriever.ErrInvalidFilter, retriever.ErrInvalidFacet, retriever.ErrInvalidQuery, retriever.ErrInvalidIndexName,
			retriever.ErrInvalidDocument,
		}},
	} {
		for _, sentinel := range o.errs {
			if errors.Is(err, sentinel) {
				return o.name
			}
		}
	}
	return outcomeError
}
