package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
)

// UploadFile sends a file to the server, which processes it and stores its
// documents; groups, if there are any, are those that may see them. What was
// wrong with the file is in the result.
func (c *Client) UploadFile(ctx context.Context, index, name string, content io.Reader, groups ...string) (pipeline.FileResult, error) {
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	done := make(chan struct{})
	go func() {
		defer close(done)
		writer.CloseWithError(writeForm(form, name, content, groups))
	}()
	path := indexPath(index) + "/files"
	response, err := c.send(ctx, http.MethodPost, path, form.FormDataContentType(), reader)
	// Nothing more needs to be sent once there is an answer.
	_ = reader.Close()
	<-done
	if err != nil {
		return pipeline.FileResult{}, err
	}
	defer response.Body.Close()
	var body wire.Files
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		return pipeline.FileResult{}, c.transport(ctx, http.MethodPost, path, err)
	}
	if len(body.Files) != 1 {
		return pipeline.FileResult{}, fmt.Errorf("client: the server was sent one file and gave %d results", len(body.Files))
	}
	return body.Files[0], nil
}

func writeForm(form *multipart.Writer, name string, content io.Reader, groups []string) error {
	for _, group := range groups {
		if err := form.WriteField("groups", group); err != nil {
			return err
		}
	}
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(part, content); err != nil {
		return err
	}
	return form.Close()
}
