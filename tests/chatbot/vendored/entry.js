export { default as MarkdownIt } from "markdown-it";
export { tasklist } from "@mdit/plugin-tasklist";
