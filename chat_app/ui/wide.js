/* What is wider than its column scrolls in a box of its own, by keyboard too. */
import { useEffect, useRef } from "react";

export function useWide() {
  const box = useRef(null);
  useEffect(() => {
    const element = box.current;
    const look = () => {
      if (element.scrollWidth > element.clientWidth + 1) element.tabIndex = 0;
      else element.removeAttribute("tabindex");
    };
    const observer = new ResizeObserver(look);
    observer.observe(element);
    if (element.firstElementChild) observer.observe(element.firstElementChild);
    return () => observer.disconnect();
  }, []);
  return box;
}
