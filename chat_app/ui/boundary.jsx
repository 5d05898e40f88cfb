/* An exception in one component is not the end of the page: around a message, a dialog, whatever can stand alone. */
import { ErrorBoundary } from "react-error-boundary";

function Failure({ sentence, text, again }) {
  return (
    <div className="broken" role="group" aria-label="Display problem">
      <p>{sentence}</p>
      {text && (
        <div className="plain" dir="auto">
          {text}
        </div>
      )}
      <button type="button" className="text-button" onClick={again}>
        Show again
      </button>
    </div>
  );
}

/** Shows `sentence` and `text`, as it was written, in the place of children that cannot be drawn. It tries again by a
button, and when one of the values in `anew` changes. */
export function Boundary({ sentence = "This part of the page could not be shown.", text, anew, children }) {
  return (
    <ErrorBoundary
      resetKeys={anew}
      fallbackRender={({ resetErrorBoundary }) => <Failure sentence={sentence} text={text} again={resetErrorBoundary} />}
    >
      {children}
    </ErrorBoundary>
  );
}
