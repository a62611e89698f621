mock_provider "aws" {}

variables {
  name   = "chatbot"
  region = "us-east-1"
}

run "the_defaults_keep_artifacts_a_month_and_safe_from_destroy" {
  assert {
    condition     = var.retention_days == 30 && !var.force_destroy
    error_message = "The defaults are not a month, safe from destroy."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    name           = "Chat Bot"
    retention_days = 0
  }

  expect_failures = [var.name, var.retention_days]
}
